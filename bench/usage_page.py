"""The usage page with 35 days of data, next to a bare page, on both databases: milliseconds a page.

The organisation uses 3 models with 5 keys around the clock; another time with 100. Hours and days that are over
are packed, as the job would have left them. The bare page is the list of warnings: signed in, the same frame,
nothing to draw.
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
from portal.usage.models import HourPack, MinutePack, RefusedHour, UsageHour, UsageMinute
from portal.usage.packing import Figures, pack, total

DAYS, KEYS, MANY_KEYS = 35, 5, 100
HOUR, DAY = 3600, 86_400
MODELS = ("opus-5", "sonnet-5", "haiku-4.5")
ROUNDS = 15
PAGES = ("span=hour", "span=day", "span=week&by=key", "span=month", "span=month&by=key")


def main() -> None:
    kinds = ("sqlite", "postgresql")
    keep_result("usage_page", {name: value for kind in kinds for name, value in _on(kind)})


def _on(kind: str) -> Iterator[tuple[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, database(kind) as url:
        world = make(Path(folder) / "world", threads=8, url=url)
        client = _signed_in(world)
        _fill(world, KEYS)
        bare, *pages = _measure(world, client)
        yield f"{kind}: bare page, ms", round(bare, 1)
        for name, took in zip(PAGES, pages, strict=True):
            yield f"{kind}: {name}, ms", round(took, 1)
            yield f"{kind}: {name}, times the bare page", round(took / bare, 1)
        _fill(world, MANY_KEYS - KEYS)
        bare, *pages = _measure(world, client)
        for name, took in zip(PAGES, pages, strict=True):
            yield f"{kind}: {name}, {MANY_KEYS} keys, times the bare page", round(took / bare, 1)
        world.sessions.kw["bind"].dispose()


def _measure(world: World, client: FlaskClient) -> list[float]:
    """Milliseconds of a bare page, and of each of PAGES."""
    with world.sessions() as session:
        top = f"/orgs/{session.get_one(Org, world.org_id).slug}/usage"
    return _alternating(client, [f"{top}/warnings", *(f"{top}?{each}" for each in PAGES)])


def _fill(world: World, count: int) -> None:
    """So many keys more, with what ingest and packing would have left of them."""
    chance, now = random.Random(count), clock.timestamp()  # noqa: S311 -- the same every time
    keys = [key_id for key_id, _ in world.issue(count)]
    today = now // DAY * DAY
    owners = [(world.org_id, key_id, model) for key_id in keys for model in MODELS]
    for start in range(today - (DAYS - 1) * DAY, today, DAY):
        hours = {owner: {hour: _figures(chance, 60) for hour in range(24)} for owner in owners}
        minutes = [
            (world.org_id, model, at, pack({minute: _figures(chance) for minute in range(60)}))
            for model in MODELS
            for at in range(start, start + DAY, HOUR)
        ]
        days = ((*owner, start, pack(day), *total(day.values())) for owner, day in hours.items())
        refused = [
            (*owner[:2], f"start.{owner[2]}.requests.1m", start + hour * HOUR, 7)
            for owner in owners
            for hour in range(0, 24, 9)
        ]
        with world.sessions() as session, transaction(session):
            upsert(session, MinutePack, minutes)
            upsert(session, HourPack, days)
            upsert(session, RefusedHour, refused)
    with world.sessions() as session, transaction(session):
        upsert(
            session,
            UsageHour,
            (
                (*owner, at, *_figures(chance, 60))
                for owner in owners
                for at in range(today, now, HOUR)
            ),
        )
        upsert(
            session,
            UsageMinute,
            (
                (world.org_id, model, at, *_figures(chance))
                for model in MODELS
                for at in range(today, now, 60)
            ),
        )


def _figures(chance: random.Random, times: int = 1) -> Figures:
    requests = chance.randint(5, 90) * times
    return Figures(requests, chance.randint(0, 2), requests * 1400, requests * 300)


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
