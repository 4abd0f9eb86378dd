"""Whether limits got tighter, judged on the sets before and after (LIMITS.md section 2).

A limit is *implied* by another if it refuses nothing that the other one accepts, whatever comes
and whenever it comes. A step does not tighten if every limit after it is implied by one before.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum

from plimsoll.contract.limits import Kind, Limit


class Direction(StrEnum):
    """What a step does to those who meet the limits."""

    LOOSENING = "loosening"
    TIGHTENING = "tightening"
    MIXED = "mixed"
    NEUTRAL = "neutral"


def implies(before: Limit, after: Limit) -> bool:
    """Whether nothing that `before` accepts is refused by `after`.

    Both belong to one tier, model and metric. Sound, not complete: bucket against window counts as
    not implied, and so does a calendar month against any other period.
    """
    if before.cell.kind is not after.cell.kind:
        return False
    if before.cell.kind is Kind.BUCKET:
        return _rate_no_lower(before, after) and (after.burst or 0) >= (before.burst or 0)
    if before.cell.kind is Kind.CONCURRENCY:
        return after.quota >= before.quota
    return _window_implies(before, after)


def tightens(before: Collection[Limit], after: Iterable[Limit]) -> bool:
    """Whether some request that passed all of `before` may be refused by `after`."""
    return not all(any(implies(old, new) for old in before) for new in after)


def direction_of(before: Collection[Limit], after: Collection[Limit]) -> Direction:
    """The direction of a step from one set of limits of a tier, model and metric to another."""
    if tightens(before, after):
        # Where the way back takes nothing away, the way there gave nothing.
        return Direction.MIXED if tightens(after, before) else Direction.TIGHTENING
    return Direction.LOOSENING if tightens(after, before) else Direction.NEUTRAL


def overall(directions: Iterable[Direction]) -> Direction:
    """The direction of several steps together; both ways at once is mixed."""
    found = set(directions) - {Direction.NEUTRAL}
    if not found:
        return Direction.NEUTRAL
    return found.pop() if len(found) == 1 else Direction.MIXED


def takes_away(direction: Direction) -> bool:
    """Whether a direction needs notice: mixed counts as tightening."""
    return direction in {Direction.TIGHTENING, Direction.MIXED}


def _rate_no_lower(before: Limit, after: Limit) -> bool:
    old, new = before.cell.period, after.cell.period
    assert isinstance(old, int)  # noqa: S101 -- a bucket's period is in seconds
    assert isinstance(new, int)  # noqa: S101
    # In whole numbers: a quotient of floats would call equal rates different.
    return after.quota * old >= before.quota * new


def _window_implies(before: Limit, after: Limit) -> bool:
    old, new = before.cell.period, after.cell.period
    if old == new:
        return after.quota >= before.quota
    if not (isinstance(old, int) and isinstance(new, int)):
        return False
    if old % new == 0:
        # All windows have one anchor, so a shorter one lies within one of the longer.
        return after.quota >= before.quota
    return new % old == 0 and after.quota >= before.quota * (new // old)
