"""The usage page with 35 days of data, next to a bare page, on both databases: milliseconds a page.

The organisation uses 3 models with 5 keys around the clock. Its hours and days are packed by the job, as they
would be. The bare page is the list of warnings: signed in, the same frame, nothing to draw.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from bench.figures import keep as keep_result
from bench.ingest import database
from bench.world import EMAIL, PASSWORD, World, make
from portal.core import clock
from portal.core.db import transaction
from portal.core.upserts import upsert
from portal.factory import create_app
from portal.orgs.models import Org
from portal.usage.jobs import keep
from portal.usage.models import RefusedHour, UsageHour, UsageMinute

DAYS, KEYS = 35, 5
MODELS = ("opus-5", "sonnet-5", "haiku-4.5")
ROUNDS = 15
PAGES = ("span=hour", "span=day", "span=week&by=key", "span=month", "span=month&by=key")


def main() -> None:
    kinds = ("sqlite", "postgresql")
    keep_result("usage_page", {name: value for kind in kinds for name, value in _on(kind)})


def _on(kind: str) -> Iterator[tuple[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, database(kind) as url:
        world = make(Path(folder) / "world", threads=8, url=url)
        _fill(world)
        keep(world.sessions)
        with world.sessions() as session:
            slug = session.get_one(Org, world.org_id).slug
        client = _signed_in(world)
        bare = f"/orgs/{slug}/usage/warnings"
        times = _alternating(client, [bare, *(f"/orgs/{slug}/usage?{each}" for each in PAGES)])
        yield f"{kind}: bare page, ms", round(times[0], 1)
        for name, took in zip(PAGES, times[1:], strict=True):
            yield f"{kind}: {name}, ms", round(took, 1)
            yield f"{kind}: {name}, times the bare page", round(took / times[0], 1)
        world.sessions.kw["bind"].dispose()


def _fill(world: World) -> None:
    """As ingest would have left it: an upsert a day."""
    chance, now = random.Random(35), clock.timestamp()  # noqa: S311 -- the same every time
    keys = [key_id for key_id, _ in world.issue(KEYS)]
    for day in range(DAYS):
        start = (now // 86_400 - day) * 86_400
        minutes = [
            (world.org_id, model, at, *_figures(chance))
            for model in MODELS
            for at in range(start, min(start + 86_400, now), 60)
        ]
        hours = [
            (world.org_id, key_id, model, at, *(60 * each for each in _figures(chance)))
            for key_id in keys
            for model in MODELS
            for at in range(start, min(start + 86_400, now), 3600)
        ]
        refused = [(*row[:2], f"start.{row[2]}.requests.1m", row[3], 7) for row in hours[::9]]
        with world.sessions() as session, transaction(session):
            upsert(session, UsageMinute, minutes)
            upsert(session, UsageHour, hours)
            upsert(session, RefusedHour, refused)


def _figures(chance: random.Random) -> tuple[int, int, int, int]:
    requests = chance.randint(5, 90)
    return requests, chance.randint(0, 2), requests * 1400, requests * 300


def _signed_in(world: World) -> FlaskClient:
    app = create_app(world.settings, sessions=world.sessions)
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    answer = client.post("/login", data={"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    app.config["WTF_CSRF_ENABLED"] = True
    return client


def _alternating(client: FlaskClient, paths: list[str]) -> list[float]:
    """Milliseconds of each page, by the median, in turns, so that all meet the same noise."""
    times: list[list[float]] = [[] for _ in paths]
    for _ in range(ROUNDS):
        for place, path in enumerate(paths):
            began = time.perf_counter()
            answer = client.get(path)
            times[place].append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return [statistics.median(each) for each in times]


if __name__ == "__main__":
    main()
