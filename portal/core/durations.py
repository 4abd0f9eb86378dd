"""How long things take, and by when they are due: shared by whatever publishes a target. Pure."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from statistics import median

DAY = timedelta(days=1)
WORKING_DAYS_IN_WEEK = 5


def working_days_after(at: datetime, days: int) -> datetime:
    """The same time so many working days later (Monday to Friday, UTC); holidays are not known."""
    due, left = _into_week(at), days
    while left:
        due += DAY
        left -= _works(due)
    return due


def _into_week(at: datetime) -> datetime:
    """What comes at a weekend counts from Monday, 00:00 UTC."""
    while not _works(at):
        at = datetime.combine(at + DAY, time(), at.tzinfo)
    return at


def _works(at: datetime) -> bool:
    return at.weekday() < WORKING_DAYS_IN_WEEK


def median_of(durations: Sequence[timedelta]) -> timedelta | None:
    """The median; None of nothing."""
    if not durations:
        return None
    return timedelta(seconds=median(each.total_seconds() for each in durations))


def lasting(duration: timedelta) -> str:
    """How long something took, roughly and in two units at most: "2 days 4 hours", "35 minutes"."""
    minutes = max(0, int(duration.total_seconds() // 60))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{_count(days, 'day')} {_count(hours, 'hour')}" if hours else _count(days, "day")
    if hours:
        rest = minutes % 60
        return (
            f"{_count(hours, 'hour')} {_count(rest, 'minute')}" if rest else _count(hours, "hour")
        )
    return _count(minutes, "minute") if minutes else "less than a minute"


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"
