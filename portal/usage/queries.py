"""Reading figures: rows and packs as one. Whoever asks has loaded the organisation, and so may see it."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ScalarSelect, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.usage.meter import Gauge, meter
from portal.usage.models import HourPack, MinutePack, RefusedHour, UsageDay, UsageHour, UsageMinute
from portal.usage.packing import NOTHING, Figures, unpack
from portal.usage.rollup import MINUTES_KEPT_SECONDS

__all__ = [
    "By",
    "Gauge",
    "Series",
    "Span",
    "active_days",
    "active_days_of",
    "list_active_since",
    "meter",
    "refused_by_limit",
    "series_of",
    "total",
    "usage_series",
]

MINUTE, HOUR, DAY = 60, 3600, 86_400

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


def usage_series(
    session: Session, org_id: str, *, start: int, end: int, step: int, by: str = By.MODEL
) -> Series:
    """`series_of` with the span in its parts."""
    return series_of(session, org_id, Span(start, end, step), by=by)


def series_of(
    session: Session, org_id: str, span: Span, *, by: str = By.MODEL, model: str | None = None
) -> Series:
    """The figures of a span by model or by key, summed over each step; those without use are left out.

    `model` leaves out all others. Minutes are known by model and for 35 days, hours for 400. Raises
    ValueError for a finer step.
    """
    by = By(by)
    finest = MINUTE if _is_fine(span, by) else HOUR
    if span.step % finest:
        raise ValueError(f"figures by {by} over this span come in steps of {finest} seconds")
    series: Series = defaultdict(dict)
    for name, at, figures in _figures(session, org_id, span, by=by, model=model):
        slot = at - (at - span.start) % span.step
        line = series[name]
        line[slot] = line.get(slot, NOTHING).plus(figures)
    return dict(series)


def total(session: Session, org_id: str, span: Span) -> Figures:
    """The sum of a span, from the finest figures that there are."""
    found = NOTHING
    lines = usage_series(session, org_id, start=span.start, end=span.end, step=span.step)
    for line in lines.values():
        for figures in line.values():
            found = found.plus(figures)
    return found


def refused_by_limit(session: Session, org_id: str, span: Span) -> dict[str, int]:
    """How often each limit, or else each code, refused in a span of whole hours; the most first."""
    rows = session.execute(
        select(RefusedHour.name, func.sum(RefusedHour.count))
        .where(RefusedHour.org_id == org_id, *_within(RefusedHour.hour, span))
        .group_by(RefusedHour.name)
    )
    return dict(Counter({name: int(count) for name, count in rows}).most_common())


# ---- rows and packs ----


def _figures(
    session: Session, org_id: str, span: Span, *, by: By, model: str | None
) -> Iterator[tuple[str, int, Figures]]:
    """Line, instant and figures, in no order; one line and instant may come more than once."""
    # Where hours are all that is asked for, there are far fewer of them to read.
    is_in_hours = not any(each % HOUR for each in (span.start, span.end, span.step))
    is_fine = _is_fine(span, by) and not is_in_hours
    if is_fine:
        rows = _select(UsageMinute, UsageMinute.model, UsageMinute.minute)
        rows = rows.where(UsageMinute.org_id == org_id, *_within(UsageMinute.minute, span))
        packs = select(MinutePack.model, MinutePack.hour, MinutePack.counts)
        packs = packs.where(MinutePack.org_id == org_id, *_touching(MinutePack.hour, span, HOUR))
    else:
        name = UsageHour.key_id if by is By.KEY else UsageHour.model
        rows = _select(UsageHour, name, UsageHour.hour)
        rows = rows.where(UsageHour.org_id == org_id, *_within(UsageHour.hour, span))
        packed = HourPack.key_id if by is By.KEY else HourPack.model
        packs = select(packed, HourPack.day, HourPack.counts)
        packs = packs.where(HourPack.org_id == org_id, *_touching(HourPack.day, span, DAY))
    if model is not None:
        rows = rows.where((UsageMinute if is_fine else UsageHour).model == model)
        packs = packs.where((MinutePack if is_fine else HourPack).model == model)
    for line, at, *figures in session.execute(rows):
        yield line, at, Figures(*figures)
    slot_seconds = MINUTE if is_fine else HOUR
    for line, start, counts in session.execute(packs):
        for slot, each in unpack(counts).items():
            at = start + slot * slot_seconds
            if span.start <= at < span.end:
                yield line, at, each


def _is_fine(span: Span, by: By) -> bool:
    return by is By.MODEL and span.end - span.start <= MINUTES_KEPT_SECONDS


def _select(model: type[UsageMinute | UsageHour], *columns: Any) -> Select[Any]:
    return select(*columns, model.requests, model.refused, model.input_tokens, model.output_tokens)


def _within(column: InstrumentedAttribute[int], span: Span) -> tuple[Any, Any]:
    return column >= span.start, column < span.end


def _touching(column: InstrumentedAttribute[int], span: Span, seconds: int) -> tuple[Any, Any]:
    return column > span.start - seconds, column < span.end
