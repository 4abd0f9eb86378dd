"""Rows of usage taken in per second, over the sync API, next to a bare bulk upsert of as many, on both databases.

One gateway, batches of a thousand rows of a thousand keys of 200 organisations, a minute passing every 30
batches. The bare upsert writes the same rows into one table by one statement, and commits.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
from flask import Flask

from bench.figures import keep
from bench.world import World, key_row, make
from plimsoll.contract.limits import ALL_MODELS
from portal.core import clock
from portal.core.db import transaction
from portal.core.upserts import upsert
from portal.factory import create_app
from portal.orgs.models import Org
from portal.usage.models import UsageMinute
from tests.support.databases import PostgresServer

ORGS, KEYS_EACH = 200, 5
SECONDS = 6.0
BATCHES_A_MINUTE = 30
MODELS = ("opus-5", "sonnet-5")
Act = Callable[[int], None]


def main() -> None:
    keep("ingest", {name: value for kind in ("sqlite", "postgresql") for name, value in _on(kind)})


def _on(kind: str) -> Iterator[tuple[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, database(kind) as url:
        world = make(Path(folder) / "world", threads=8, url=url)
        keys = add_keys(world)
        app = create_app(world.settings, sessions=world.sessions)
        ingest, bare = _ingest(app, world, keys), _bare(world)
        ours, theirs = _alternating(ingest, bare, rows=len(keys))
        yield f"{kind}: rows a second taken in, over the API", round(ours)
        yield f"{kind}: rows a second, bare bulk upsert", round(theirs)
        yield f"{kind}: ratio", round(ours / theirs, 2)
        world.sessions.kw["bind"].dispose()


@contextmanager
def database(kind: str) -> Iterator[str | None]:
    """A fresh database's address; None for SQLite, which lies in the world's own folder."""
    if kind == "sqlite":
        yield None
        return
    server = PostgresServer(is_durable=True)
    with ExitStack() as stack:
        stack.callback(server.close)
        yield server.create().url


def add_keys(world: World) -> list[tuple[str, str]]:
    """(key, organisation) of organisations and keys, as rows: the commands would take minutes."""
    made = []
    with world.sessions() as session, transaction(session):
        for number in range(ORGS):
            org_id = f"org_{number:026d}"
            session.add(Org(id=org_id, slug=f"org-{number}", name=org_id))
            made += [(f"key_{number:013d}{each:013d}", org_id) for each in range(KEYS_EACH)]
        session.flush()  # keys point at organisations
        for key_id, org_id in made:
            session.add(key_row(key_id, org_id=org_id, owner=world.owner))
        session.flush()  # what it marks as touched is let go: gateways' copies are not measured here
        session.info["touched"] = set()
    return made


def _ingest(app: Flask, world: World, keys: list[tuple[str, str]]) -> Act:
    client, token = app.test_client(), world.enrol("gw")
    headers = {"Authorization": f"Bearer {token}", "Sync-Version": "1"}
    now = clock.timestamp()

    def act(number: int) -> None:
        minute = (now // 60 - 1000 + number // BATCHES_A_MINUTE) * 60
        counts = {"requests": 12, "input_tokens": 5310, "output_tokens": 880}
        refused = {**counts, "refused": {f"build.{ALL_MODELS}.requests.1m": 3}}
        rows = [
            [key_id, MODELS[place % 2], refused if place % 50 == 0 else counts, minute]
            for place, (key_id, _) in enumerate(keys)
        ]
        body = {"boot": 1, "seq": number + 1, "from": minute, "to": now, "rows": rows}
        answer = client.post("/sync/v1/usage", data=orjson.dumps(body), headers=headers)
        assert answer.status_code == 200, answer.text

    return act


def _bare(world: World) -> Act:
    rows = [(f"bare_{number:026d}", MODELS[0]) for number in range(ORGS * KEYS_EACH)]

    def act(number: int) -> None:
        minute = number // BATCHES_A_MINUTE * 60
        with world.sessions() as session, transaction(session):
            upsert(session, UsageMinute, ((*row, minute, 12, 3, 5310, 880) for row in rows))

    return act


def _alternating(*acts: Act, rows: int) -> list[float]:
    """Rows a second of each, by the median, in turns, so that both meet the same noise."""
    times: list[list[float]] = [[] for _ in acts]
    ends, number = time.monotonic() + SECONDS * len(acts), 0
    while time.monotonic() < ends:
        for place, act in enumerate(acts):
            began = time.perf_counter()
            act(number)
            times[place].append(time.perf_counter() - began)
        number += 1
    return [rows / statistics.median(each) for each in times]


if __name__ == "__main__":
    main()
