"""The notice rule: no act may make a later step tighter without its notice.

LIMITS.md section 2, "Notice": the rule is checked on the timeline of the lasting layer, not on one
diff. Two raises can make a cut: 6,000 from day 25, and then 9,000 from day 20.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from plimsoll.contract import direction, parts
from plimsoll.contract.history import ChangeInLog, History
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import Cell, Limit
from plimsoll.contract.parts import Part, PartKind, Usable, parts_of


@dataclass(frozen=True)
class Step:
    """All that happens to the lasting layer at Unix second `at`."""

    at: int
    before: Lasting
    after: Lasting
    changes: tuple[ChangeInLog, ...]

    def parts(self) -> Iterator[Part]:
        """What is given a value, each part once."""
        found = (part for change in self.changes for part in parts_of(change.announcement))
        yield from dict.fromkeys(found)

    def values(self, part: Part) -> tuple[Any, Any]:
        """A part before and after."""
        return parts.value_of(self.before, part), parts.value_of(self.after, part)


class Shortage(NamedTuple):
    """A step that comes sooner than its notice allows; the first that was found.

    `own` tells that it is the step of the change that the act is about.
    """

    step: Step
    part: Part
    notice: int
    own: bool


class Act(NamedTuple):
    """What is judged, at Unix second `at`: the change (by number) that the act is about, if any.

    `was_at` are the instants that its tightening was announced for before: a step that is only
    put off, or made milder by a replacement, is not new. `released` is the change while held.
    """

    at: int
    number: int | None = None
    was_at: tuple[int, ...] = ()
    released: ChangeInLog | None = None


def steps(history: History, at: int) -> Iterator[Step]:
    """The steps of the lasting layer from Unix second `at` on, soonest first."""
    layer = history.lasting_before(at)
    for instant, group in groupby(history.ahead(at), lambda change: change.effective_at):
        changes, before = tuple(group), layer.copy()
        for change in changes:
            layer.apply(change.announcement, instant)
        yield Step(instant, before, layer.copy(), changes)


def find_shortage(old: History, new: History, act: Act) -> Shortage | None:
    """The first step that is new or larger in `new` and does not lie its full notice ahead."""
    notice = new.notice_at(act.at)
    known = {step.at: step for step in steps(old, act.at)}
    for step in steps(new, act.at):
        own = any(change.number == act.number for change in step.changes)
        before = [known[at] for at in {step.at, *(act.was_at if own else ())} if at in known]
        for part in step.parts():
            if not _tightens(step, part) or _was_announced(step, part, before):
                continue
            needed = _notice_for(step, part, act, notice=notice)
            if step.at < act.at + needed:
                return Shortage(step, part, needed, own)
    return None


def _tightens(step: Step, part: Part) -> bool:
    return parts.takes_away(part, *step.values(part))


def _was_announced(step: Step, part: Part, known: list[Step]) -> bool:
    """Whether a step as large stood on the timeline before, no later than now."""
    return any(
        each.at <= step.at
        and _tightens(each, part)
        and not _is_larger(part, each.values(part), step.values(part))
        for each in known
    )


def _is_larger(part: Part, announced: tuple[Any, Any], now: tuple[Any, Any]) -> bool:
    """Whether a step takes away more than the announced one: it starts higher or ends lower."""
    (was_before, was_after), (before, after) = announced, now
    return parts.takes_away(part, before, was_before) or parts.takes_away(part, was_after, after)


def _notice_for(step: Step, part: Part, act: Act, *, notice: Mapping[str, int]) -> int:
    retires = part.kind is PartKind.OFFER
    full = notice["retirement_seconds" if retires else "tightening_seconds"]
    held = act.released
    if held is None or not _is_own(step, part, held):
        return full
    least = max(notice["released_seconds"], held.notice_left or 0)
    return max(full, least) if _outgrew(step, part, held) else least


def _is_own(step: Step, part: Part, change: ChangeInLog) -> bool:
    is_there = any(each.number == change.number for each in step.changes)
    return is_there and part in parts_of(change.announcement)


def _outgrew(step: Step, part: Part, held: ChangeInLog) -> bool:
    """Whether a released step takes away more than what the log foretold when it was held.

    What an announcement calls `from` tells nothing: two changes of one instant may raise and take
    back, so that no step was ever a cut.
    """
    now = step.values(part)
    was = held.held_steps[part]
    if part.kind is PartKind.LIMIT:
        if _taken(now) - _taken(was):
            return True
        was = _with_others(was[0], now, held), _with_others(was[1], now, held)
    return not parts.takes_away(part, *was) or _is_larger(part, was, now)


def _taken(values: tuple[Usable, Usable]) -> set[Cell]:
    """The cells whose limit takes something: beside others the same limit may take nothing."""
    before, after = values
    return {each.cell for each in after.value if direction.tightens(before.value, [each])}


def _with_others(was: Usable, now: tuple[Usable, Usable], held: ChangeInLog) -> Usable:
    """The limits that a change gives values to as they were, among the others as they are now."""
    own = {row.cell for row in held.announcement.rows}
    others = (limit for limit in now[0].value if limit.cell not in own)
    return Usable(was.is_offered, frozenset([*_of(was, own), *others]))


def _of(usable: Usable, cells: set[Cell]) -> list[Limit]:
    return [limit for limit in usable.value if limit.cell in cells]
