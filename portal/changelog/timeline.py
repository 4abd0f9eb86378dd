"""What comes after an instant: limits cell by cell, and the changes that start or end."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from plimsoll.contract.direction import Direction, overall
from plimsoll.contract.effect import OPENING_CHANGE, Effect, effect_of
from plimsoll.contract.history import ChangeInLog, Status
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import Cell, Limit
from plimsoll.contract.parts import PartKind, direction_of, parts_of, value_of
from portal.transparency.queries import Timeline


class Turn(NamedTuple):
    """A change starts, or ends (`is_end`), at `at` (Unix seconds)."""

    at: int
    change: int
    is_end: bool


class Coming(NamedTuple):
    """What a limit will be from `turn` on."""

    limit: Limit | None
    turn: Turn


class Verdict(NamedTuple):
    """What a change is called: its direction, and whether an offer is withdrawn by it."""

    direction: Direction
    is_retirement: bool


class Outlook:
    """A timeline with what is worked out of it once: the turns of each cell, effects of changes."""

    def __init__(self, timeline: Timeline) -> None:
        self._turns: dict[Cell, list[Turn]] = {}
        self._offers: dict[tuple[str, str], list[Turn]] = {}
        self._effects: dict[int, Effect] = {}
        self._verdicts: dict[int, Verdict] = {}
        counting = _counting(timeline)
        self.turns = sorted(turn for change in counting for turn in turns_of(change))
        for change in counting:
            for row in change.announcement.rows:
                self._turns.setdefault(row.cell, []).extend(turns_of(change))
            for offer in change.announcement.offers:
                self._offers.setdefault((offer.tier, offer.model), []).extend(turns_of(change))
        for turns in (*self._turns.values(), *self._offers.values()):
            turns.sort()

    def coming(self, timeline: Timeline, cell: Cell, at: int) -> Iterator[Coming]:
        """What a limit will be after `at`, as far as it is announced, in order of time."""
        held = timeline.policy(at).limits.get(cell)
        before = held.limit if held else None
        # Only what names the cell can move it: a long log is not folded at each of its steps.
        for turn in self._turns.get(cell, ()):
            if turn.at <= at:
                continue
            then = timeline.policy(turn.at).limits.get(cell)
            after = then.limit if then else None
            if after != before:
                yield Coming(after, turn)
            before = after

    def offer_turn(self, timeline: Timeline, pair: tuple[str, str], at: int) -> Turn | None:
        """When a (tier, model) that is offered at `at` no longer is, or the other way round."""
        is_offered = pair in timeline.policy(at).offers
        for turn in self._offers.get(pair, ()):
            if turn.at > at and (pair in timeline.policy(turn.at).offers) is not is_offered:
                return turn
        return None

    def effect(self, timeline: Timeline, number: int) -> Effect:
        """What a change does."""
        if number not in self._effects:
            self._effects[number] = effect_of(timeline.history, number)
        return self._effects[number]

    def verdict(self, timeline: Timeline, number: int) -> Verdict:
        """What a change is called."""
        if not self._verdicts:
            self._verdicts = dict(_verdicts(timeline))
        if number not in self._verdicts:
            # Held, withdrawn and temporary ones are few, and stand beside the lasting layer.
            does = self.effect(timeline, number)
            self._verdicts[number] = Verdict(does.direction, does.is_retirement)
        return self._verdicts[number]


_outlooks: WeakKeyDictionary[Timeline, Outlook] = WeakKeyDictionary()


def outlook(timeline: Timeline) -> Outlook:
    """The outlook of a timeline; a log that stays as it is is worked out once."""
    found = _outlooks.get(timeline)
    if found is None:
        found = _outlooks[timeline] = Outlook(timeline)
    return found


def coming(timeline: Timeline, cell: Cell, at: int) -> Iterator[Coming]:
    """What a limit will be after Unix second `at`, as far as it is announced, in order of time."""
    return outlook(timeline).coming(timeline, cell, at)


def offer_turn(timeline: Timeline, pair: tuple[str, str], at: int) -> Turn | None:
    """When a (tier, model) that is offered at `at` no longer is, or the other way round."""
    return outlook(timeline).offer_turn(timeline, pair, at)


def effect(timeline: Timeline, number: int) -> Effect:
    """What a change does. Raises KeyError."""
    return outlook(timeline).effect(timeline, number)


def verdict(timeline: Timeline, number: int) -> Verdict:
    """What a change is called: as `effect` says, for many changes in one go. Raises KeyError."""
    return outlook(timeline).verdict(timeline, number)


def _verdicts(timeline: Timeline) -> Iterator[tuple[int, Verdict]]:
    """Of all lasting changes, in one walk along the layer: each on its own would fold it anew."""
    layer = Lasting()
    lasting = (change for change in _counting(timeline) if change.is_lasting)
    for change in sorted(lasting, key=lambda change: change.order):
        touched = parts_of(change.announcement)
        before = [value_of(layer, part) for part in touched]
        layer.apply(change.announcement, change.effective_at)
        steps = [
            (part, old, value_of(layer, part)) for part, old in zip(touched, before, strict=True)
        ]
        directions = [direction_of(*step) for step in steps]
        is_opening = change.number == OPENING_CHANGE
        yield (
            change.number,
            Verdict(
                Direction.NEUTRAL if is_opening else overall(directions),
                any(part.kind is PartKind.OFFER and old and not new for part, old, new in steps),
            ),
        )


def turns_of(change: ChangeInLog) -> Iterator[Turn]:
    """When a change starts, and ends if it does."""
    yield Turn(change.effective_at, change.number, is_end=False)
    if change.expires_at is not None:
        yield Turn(change.expires_at, change.number, is_end=True)


def turns_after(timeline: Timeline, at: int) -> list[Turn]:
    """What starts and ends after Unix second `at`, in order of time."""
    turns = outlook(timeline).turns
    return turns[_place(turns, at) :]


def turn_before(timeline: Timeline, at: int) -> Turn | None:
    """What started or ended last by Unix second `at`."""
    turns = outlook(timeline).turns
    place = _place(turns, at)
    return turns[place - 1] if place else None


def _place(turns: list[Turn], at: int) -> int:
    return bisect_right(turns, at, key=lambda turn: turn.at)


def _counting(timeline: Timeline) -> list[ChangeInLog]:
    changes = timeline.history.changes.values()
    return [each for each in changes if each.status is Status.ANNOUNCED]
