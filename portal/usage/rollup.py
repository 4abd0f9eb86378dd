"""Packing what is over, and dropping what is old: acts of the jobs, a chunk in each transaction.

A pack takes a tenth of the room of its rows. What comes late (a gateway may have been cut off for
days) is added as rows again, and packed into the same value by the next pass.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, exists, select, text, tuple_
from sqlalchemy.orm import Session

from portal.core.db import Base
from portal.core.upserts import remove, table_of, upsert
from portal.usage.models import (
    HourPack,
    MeterCounter,
    MinutePack,
    RefusedBatch,
    RefusedHour,
    UsageDay,
    UsageHour,
    UsageMinute,
    UsageWarning,
)
from portal.usage.packing import NOTHING, Figures, merged, total

MINUTES_KEPT_SECONDS = 35 * 86_400
HOURS_KEPT_SECONDS = 400 * 86_400
# Longer than the longest window: what is older says nothing any more.
COUNTERS_KEPT_SECONDS = 62 * 86_400
# Most rows of an hour have come by then; each that is later costs a pack written anew.
SETTLED_SECONDS = 600
CHUNK = 2000
GROUPS_AT_ONCE = 200
LOCK_NUMBER = 20_260_001  # any number of our own: two that pack at once would overwrite each other


@dataclass(frozen=True)
class Level:
    """Rows that are packed: each stands for `slot_seconds`, a pack for `span_seconds`."""

    rows: type[Base]
    packs: type[Base]
    slot_seconds: int
    span_seconds: int
    # Whether a pack's sums stand beside it; those of what comes late are added by the upsert.
    is_summed: bool = False

    def bound(self, now: int) -> int:
        """Rows before this instant are of a span that is over."""
        settled = now - SETTLED_SECONDS
        return settled - settled % self.span_seconds


MINUTES = Level(UsageMinute, MinutePack, 60, 3600)
HOURS = Level(UsageHour, HourPack, 3600, 86_400, is_summed=True)
LEVELS = (MINUTES, HOURS)

KEPT: dict[type[Base], tuple[str, int]] = {
    UsageMinute: ("minute", MINUTES_KEPT_SECONDS),
    MinutePack: ("hour", MINUTES_KEPT_SECONDS),
    UsageHour: ("hour", HOURS_KEPT_SECONDS),
    HourPack: ("day", HOURS_KEPT_SECONDS),
    UsageDay: ("day", HOURS_KEPT_SECONDS),
    RefusedHour: ("hour", HOURS_KEPT_SECONDS),
    MeterCounter: ("at", COUNTERS_KEPT_SECONDS),
    UsageWarning: ("at", HOURS_KEPT_SECONDS),
}


def has_packable(session: Session, level: Level, now: int) -> bool:
    """Whether any row of a span that is over waits."""
    *_, time = _keys(level.rows)
    return bool(session.scalar(select(exists().where(time < level.bound(now)))))


def pack_chunk(
    session: Session, level: Level, *, now: int, after: Sequence[Any]
) -> Sequence[Any] | None:
    """Pack some rows behind the place `after`; returns the place of the last, None where none is left."""
    if not _is_alone(session):
        return None
    table, keys = table_of(level.rows), _keys(level.rows)
    query = select(table).where(keys[-1] < level.bound(now)).order_by(*keys).limit(CHUNK)
    if after:
        query = query.where(tuple_(*keys) > tuple_(*after))
    rows = [tuple(row) for row in session.execute(query.with_for_update())]
    if not rows:
        return None
    _pack(session, level, rows)
    remove(session, level.rows, [row[: len(keys)] for row in rows])
    return rows[-1][: len(keys)]


def _pack(session: Session, level: Level, rows: Iterable[tuple[Any, ...]]) -> None:
    groups: dict[tuple[Any, ...], dict[int, Figures]] = {}
    count = len(_keys(level.rows))
    for row in rows:
        *owner, at = row[:count]
        offset = at % level.span_seconds
        slots = groups.setdefault((*owner, at - offset), {})
        slot = offset // level.slot_seconds
        slots[slot] = slots.get(slot, NOTHING).plus(Figures(*row[count:]))
    known = _known(session, level.packs, list(groups))
    rows = (
        (
            *place,
            merged(known.get(place), slots),
            *(total(slots.values()) if level.is_summed else ()),
        )
        for place, slots in groups.items()
    )
    upsert(session, level.packs, rows)


def _known(
    session: Session, packs: type[Base], places: list[tuple[Any, ...]]
) -> dict[tuple[Any, ...], bytes]:
    keys, found = _keys(packs), {}
    counts_column = table_of(packs).c.counts
    for first in range(0, len(places), GROUPS_AT_ONCE):
        part = places[first : first + GROUPS_AT_ONCE]
        for *place, counts in session.execute(
            select(*keys, counts_column).where(tuple_(*keys).in_(part))
        ):
            found[tuple(place)] = counts
    return found


def find_old(session: Session, model: type[Base], *, now: int) -> list[tuple[Any, ...]]:
    """Primary keys of some rows that are kept no longer."""
    column, seconds = KEPT[model]
    table = table_of(model)
    query = select(*_keys(model)).where(table.c[column] < now - seconds).limit(CHUNK)
    return [tuple(row) for row in session.execute(query)]


def find_old_refusals(session: Session, *, before: Any) -> list[tuple[Any, ...]]:
    """Primary keys of refused batches that nobody will look into any more."""
    query = select(*_keys(RefusedBatch)).where(RefusedBatch.at < before).limit(CHUNK)
    return [tuple(row) for row in session.execute(query)]


def _is_alone(session: Session) -> bool:
    if session.get_bind().dialect.name != "postgresql":
        return True
    query = text("SELECT pg_try_advisory_xact_lock(:number)")
    return bool(session.scalar(query, {"number": LOCK_NUMBER}))


def _keys(model: type[Base]) -> list[Column[Any]]:
    return list(table_of(model).primary_key.columns)
