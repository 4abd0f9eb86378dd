"""What an active organisation costs in bytes a day: real tables, filled with the days of organisations of three habits.

For each habit a sample is written, its hours and days are packed by the job, and the tables are measured
with their indexes. Sizes for 10,000 organisations over 35 days are extrapolated from that sample.
"""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.figures import keep as keep_result
from bench.ingest import database
from bench.world import World, make
from portal.core import clock
from portal.core.db import transaction
from portal.core.upserts import upsert
from portal.usage.jobs import keep
from portal.usage.models import HourPack, MinutePack, RefusedHour, UsageDay, UsageHour, UsageMinute

TABLES = (UsageMinute, MinutePack, UsageHour, HourPack, UsageDay, RefusedHour)
ORGS, DAYS = 40, 2
MANY_ORGS, MANY_DAYS = 10_000, 35


class Habit(NamedTuple):
    """How an organisation uses its keys: so many hours a day, models, keys, and requests a minute."""

    name: str
    hours: int
    models: int
    keys: int
    requests: int


HABITS = (
    Habit("around the clock, 2 models, 3 keys", 24, 2, 3, 40),
    Habit("10 hours a day, 2 models, 2 keys", 10, 2, 2, 12),
    Habit("3 hours a day, 1 model, 1 key", 3, 1, 1, 4),
)


def main() -> None:
    result: dict[str, Any] = {}
    for kind in ("postgresql", "sqlite"):
        with tempfile.TemporaryDirectory() as folder, database(kind) as url:
            world = make(Path(folder) / "world", threads=8, url=url)
            for habit in HABITS:
                result |= {f"{kind}: {label}": value for label, value in _measure(world, habit)}
            world.sessions.kw["bind"].dispose()
    keep_result("usage_storage", result)


def _measure(world: World, habit: Habit) -> Iterator[tuple[str, Any]]:
    with world.sessions() as session:
        with transaction(session):
            for table in TABLES:
                session.execute(text(f"DELETE FROM {table.__tablename__}"))  # noqa: S608 -- our own names
        _compact(world)
        empty = _sizes(session)
        for day in range(DAYS):
            _write_day(session, habit, day)
        rows = _sizes(session)
    keep(world.sessions)
    _compact(world)
    with world.sessions() as session:
        packed = _sizes(session)
    share = ORGS * DAYS
    yield (
        f"{habit.name}: bytes per organisation-day as rows",
        {name: round((size - empty[name]) / share) for name, size in rows.items()},
    )
    each = {name: round((size - empty[name]) / share) for name, size in packed.items()}
    yield f"{habit.name}: bytes per organisation-day, packed", each
    minutes = each["usage_minute_packs"]
    yield (
        f"{habit.name}: GB for 10,000 organisations x 35 days (extrapolated)",
        {
            "minutes": round(minutes * MANY_ORGS * MANY_DAYS / 1e9, 1),
            "all": round(sum(each.values()) * MANY_ORGS * MANY_DAYS / 1e9, 1),
        },
    )


def _write_day(session: Session, habit: Habit, day: int) -> None:
    """One day of the sample, long enough ago that the job packs it."""
    chance = random.Random(f"{habit.name} {day}")  # noqa: S311 -- the same every time
    start = clock.timestamp() // 86_400 * 86_400 - (day + 2) * 86_400
    for number in range(ORGS):
        org_id = f"org_{number:026d}"
        minutes = [
            (org_id, f"sonnet-{model}", start + minute * 60, *_figures(chance, habit))
            for model in range(habit.models)
            for minute in range(habit.hours * 60)
        ]
        hours = [
            (org_id, f"key_{number:013d}{key:013d}", f"sonnet-{model}", start + hour * 3600, *many)
            for model in range(habit.models)
            for key in range(habit.keys)
            for hour in range(habit.hours)
            if (many := [60 * figure for figure in _figures(chance, habit)])
        ]
        refused = {(row[0], row[1], "scale.sonnet-5.requests.1m", row[3], 9) for row in hours[::8]}
        with transaction(session):
            upsert(session, UsageMinute, minutes)
            upsert(session, UsageHour, hours)
            upsert(session, RefusedHour, refused)
            upsert(session, UsageDay, [(org_id, start, start, 9000, 90, 9_000_000, 900_000)])


def _figures(chance: random.Random, habit: Habit) -> tuple[int, int, int, int]:
    requests = chance.randint(0, 2 * habit.requests)
    refused = chance.randint(1, 9) if chance.random() < 0.05 else 0
    return (
        requests,
        refused,
        requests * chance.randint(500, 4000),
        requests * chance.randint(50, 900),
    )


def _sizes(session: Session) -> dict[str, int]:
    names = [table.__tablename__ for table in TABLES]
    if session.get_bind().dialect.name == "postgresql":
        query = text("SELECT pg_total_relation_size(cast(:name AS regclass))")
        return {name: session.scalar(query, {"name": name}) or 0 for name in names}
    # Indexes of a table are listed beside it.
    query = text(
        "SELECT sum(pgsize) FROM dbstat WHERE name IN"
        " (SELECT name FROM sqlite_schema WHERE tbl_name = :name)"
    )
    return {name: session.scalar(query, {"name": name}) or 0 for name in names}


def _compact(world: World) -> None:
    """Give room back, as the databases' own housekeeping does in time."""
    engine = world.sessions.kw["bind"]
    link = engine.raw_connection()
    try:
        if engine.dialect.name == "postgresql":
            link.driver_connection.autocommit = True
            for table in TABLES:
                link.driver_connection.execute(f"VACUUM FULL {table.__tablename__}")
            link.driver_connection.autocommit = False
        else:
            link.driver_connection.execute("VACUUM")
    finally:
        link.close()


if __name__ == "__main__":
    main()
