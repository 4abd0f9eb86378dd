"""What will change next, for whoever is on certain tiers: the first question of every reader."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from plimsoll.contract.direction import Direction, direction_of, takes_away
from plimsoll.contract.effect import Effect, Item
from plimsoll.contract.history import ChangeInLog, State
from plimsoll.contract.limits import Limit
from plimsoll.contract.parts import PartKind
from portal.changelog.diff import Diff, diff_of
from portal.changelog.lines import ChangeLine, change_line
from portal.changelog.timeline import Turn, effect, turns_after
from portal.transparency.queries import Timeline

# Asked of a past instant, all that came since lies ahead: a page tells of the next, the list of all.
STEPS_MAX = 12


@dataclass(frozen=True)
class Ahead:
    """A change that starts, or ends (`is_end`), at `at` (Unix seconds), and what that does."""

    line: ChangeLine
    at: int
    is_end: bool
    diff: Diff

    @property
    def is_tightening(self) -> bool:
        return takes_away(Direction(self.diff.direction_code))

    @property
    def first(self) -> str:
        """What it does, in one sentence without the full stop; what it takes away comes first."""
        lines = self.diff.lines
        taken = (each for each in lines if takes_away(Direction(each.direction_code)))
        found = next(taken, lines[0] if lines else None)
        return found.sentence if found else self.line.title

    @property
    def others(self) -> int:
        """How many more sentences there are."""
        return max(0, len(self.diff.sentences) - 1)


@dataclass(frozen=True)
class Outline:
    """What is announced beyond an instant, soonest first; held changes have no instant yet.

    `more` is how many further starts and ends are announced behind the last of `steps`.
    """

    steps: tuple[Ahead, ...] = ()
    held: tuple[ChangeLine, ...] = ()
    more: int = 0

    @property
    def first_tightening(self) -> Ahead | None:
        return next((step for step in self.steps if step.is_tightening), None)


def outline(timeline: Timeline, *, at: int, tiers: Collection[str] = ()) -> Outline:
    """What is announced after Unix second `at` and touches one of `tiers` (none given: any)."""
    changes = timeline.history.changes
    turns = [
        turn
        for turn in turns_after(timeline, at)
        if change_line(changes[turn.change], at=at).touches(tiers=tiers)
    ]
    steps = (_ahead(timeline, turn, at=at, tiers=tiers) for turn in turns[:STEPS_MAX])
    # Most changes of a long log are neither: a line for each would make the page as long in the making.
    held = (change for change in changes.values() if change.state(at) is State.HELD)
    lines = (change_line(change, at=at) for change in held)
    return Outline(
        steps=tuple(step for step in steps if step.diff.lines),
        held=tuple(line for line in lines if line.touches(tiers=tiers)),
        more=max(0, len(turns) - STEPS_MAX),
    )


def _ahead(timeline: Timeline, turn: Turn, *, at: int, tiers: Collection[str]) -> Ahead:
    change = timeline.history.changes[turn.change]
    found = _ending(timeline, change) if turn.is_end else effect(timeline, turn.change)
    return Ahead(
        line=change_line(change, at=at),
        at=turn.at,
        is_end=turn.is_end,
        diff=diff_of(only(found, tiers)),
    )


def only(effect: Effect, tiers: Collection[str]) -> Effect:
    """The part of an effect that touches one of these tiers; none given means all of it."""
    if not tiers:
        return effect
    items = (
        item for item in effect.items if replace(effect, items=(item,)).tiers.intersection(tiers)
    )
    return replace(effect, items=tuple(items))


def _ending(timeline: Timeline, change: ChangeInLog) -> Effect:
    """What it does that a temporary change ends: the limits in force just before and then."""
    ends_at = change.expires_at or 0
    before, after = timeline.policy(ends_at - 1), timeline.policy(ends_at)
    items: list[Item] = []
    for row in change.announcement.rows:
        held, then = before.limits.get(row.cell), after.limits.get(row.cell)
        step = (held.limit if held else None, then.limit if then else None)
        if step[0] != step[1]:
            cell = row.cell
            direction = direction_of(*(list(_given(side)) for side in step))
            items.append(
                Item(PartKind.LIMIT, cell.tier, cell.model, cell.metric, cell, *step, direction)
            )
    return Effect(tuple(items), before, after)


def _given(limit: Limit | None) -> Iterator[Limit]:
    if limit is not None:
        yield limit
