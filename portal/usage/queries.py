"""Reading figures: rows and packs as one. Whoever asks has loaded the organisation, and so may see it.

Rows and packs are two statements, and a job moves figures from one to the other: callers of `series_of` read
in a `portal.core.db.snapshot`, or PostgreSQL may show an hour twice.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ColumnElement, ScalarSelect, Table, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.core.db import Base
from portal.core.upserts import table_of
from portal.usage.models import RefusedHour, UsageDay
from portal.usage.packing import Figures, unpack
from portal.usage.rollup import HOURS, MINUTES, MINUTES_KEPT_SECONDS, Level

MINUTE, HOUR = 60, 3600

# By model or key, then by the Unix second at which a step begins.
Series = dict[str, dict[int, Figures]]


class By(StrEnum):
    """What the lines of a chart stand for."""

    MODEL = "model"
    KEY = "key"


@dataclass(frozen=True)
class Span:
    """Half open, in Unix seconds: figures of `start` ≤ t < `end`, summed over each `step`."""

    start: int
    end: int
    step: int

    def is_in(self, seconds: int) -> bool:
        """Whether it begins, steps and ends at whole spans of so many seconds."""
        return not any(each % seconds for each in (self.start, self.end, self.step))


def active_days(session: Session, org_id: str) -> int:
    """On how many days (UTC) of the last 400 requests of the organisation were admitted."""
    return session.scalar(select(active_days_of(org_id))) or 0


def active_days_of(org_id: str | InstrumentedAttribute[str]) -> ScalarSelect[int]:
    """The same as part of a query over organisations."""
    days = select(func.count()).where(UsageDay.org_id == org_id, UsageDay.requests > 0)
    return days.select_from(UsageDay).scalar_subquery()


def list_active_since(session: Session, at: datetime) -> set[str]:
    """Ids of the organisations of which a day's first use was reported at an instant or later."""
    since = int(at.timestamp())
    return set(session.scalars(select(UsageDay.org_id).where(UsageDay.used_at >= since).distinct()))


def series_of(
    session: Session,
    org_id: str,
    span: Span,
    *,
    by: str = By.MODEL,
    model: str | None = None,
    keys: Collection[str] = (),
) -> Series:
    """The figures of a span by model or by key, summed over each step; those without use are left out.

    `model` leaves out all others, and so do `keys`. Minutes are known by model and for 35 days, hours
    for 400. Raises ValueError for a finer step.
    """
    by = By(by)
    is_fine = by is By.MODEL and not keys and span.end - span.start <= MINUTES_KEPT_SECONDS
    finest = MINUTE if is_fine else HOUR
    if span.step % finest:
        raise ValueError(f"figures by {by} over this span come in steps of {finest} seconds")
    # Where hours are all that is asked for, there are far fewer of them to read.
    level = MINUTES if is_fine and not span.is_in(HOUR) else HOURS
    wanted: dict[str, Collection[str]] = {"org_id": [org_id]}
    if model is not None:
        wanted["model"] = [model]
    if keys:
        wanted["key_id"] = keys
    series: Series = defaultdict(dict)
    for name, slot, figures in _figures(session, level, span, by=by, wanted=wanted):
        line = series[name]
        line[slot] = line[slot].plus(figures) if slot in line else figures
    return dict(series)


def refused_by_limit(session: Session, org_id: str, span: Span) -> dict[str, int]:
    """How often each limit, or else each code, refused in a span of whole hours; the most first."""
    rows = session.execute(
        select(RefusedHour.name, func.sum(RefusedHour.count))
        .where(RefusedHour.org_id == org_id, *_within(RefusedHour.hour, span))
        .group_by(RefusedHour.name)
    )
    return dict(Counter({name: int(count) for name, count in rows}).most_common())


# ---- rows and packs ----

Found = Iterator[tuple[str, int, Figures]]
Wanted = Mapping[str, Collection[str]]


def _figures(session: Session, level: Level, span: Span, *, by: By, wanted: Wanted) -> Found:
    """Line, slot and figures, in no order; one line and slot may come more than once."""
    line = "key_id" if by is By.KEY else "model"
    yield from _summed(session, level.rows, span, line=line, wanted=wanted)
    if level.is_summed and span.is_in(level.span_seconds):
        yield from _summed(session, level.packs, span, line=line, wanted=wanted)
    else:
        yield from _unpacked(session, level, span, line=line, wanted=wanted)


def _summed(session: Session, model: type[Base], span: Span, *, line: str, wanted: Wanted) -> Found:
    """Added up by the database: far fewer lines leave it than lie there."""
    table = table_of(model)
    *_, time = table.primary_key.columns
    slot = (time - (time - span.start) % span.step).label("slot")
    sums = [cast(func.sum(table.c[each]), BigInteger) for each in Figures._fields]
    query = select(table.c[line], slot, *sums).where(*_among(table, wanted), *_within(time, span))
    for name, at, *figures in session.execute(query.group_by(table.c[line], slot)):
        yield name, at, Figures(*figures)


def _unpacked(session: Session, level: Level, span: Span, *, line: str, wanted: Wanted) -> Found:
    table = table_of(level.packs)
    *_, time = table.primary_key.columns
    query = select(table.c[line], time, table.c.counts).where(*_among(table, wanted))
    query = query.where(time > span.start - level.span_seconds, time < span.end)
    for name, start, counts in session.execute(query):
        for slot, figures in unpack(counts).items():
            at = start + slot * level.slot_seconds
            if span.start <= at < span.end:
                yield name, at - (at - span.start) % span.step, figures


def _among(table: Table, wanted: Wanted) -> list[ColumnElement[bool]]:
    return [table.c[name].in_(values) for name, values in wanted.items()]


def _within(
    time: InstrumentedAttribute[int] | ColumnElement[int], span: Span
) -> tuple[ColumnElement[bool], ...]:
    return time >= span.start, time < span.end
