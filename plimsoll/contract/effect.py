"""What a change does at its place on the timeline: item by item, with directions.

Everything is computed from the log as it stands (LIMITS.md section 2): what a change starts from
is what the changes before it leave, and never what somebody typed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from plimsoll.contract import parts
from plimsoll.contract.announcement import Announcement, ChangeClass
from plimsoll.contract.direction import Direction, overall, takes_away
from plimsoll.contract.fold import Policy, as_policy, lower_by, raise_by, with_raises
from plimsoll.contract.history import ChangeInLog, History, Status
from plimsoll.contract.lasting import Lasting, LimitInForce
from plimsoll.contract.limits import ALL_MODELS, Cell
from plimsoll.contract.parts import Part, PartKind, parts_of

# Everything in change 1 neither tightens nor loosens, as long as before it there is nothing.
OPENING_CHANGE = 1


class Item(NamedTuple):
    """One thing before and after a change: a `Limit`, `bool` (offer), `Tier`, `Model`, reserve
    (int) or text (str); None where there was or is none. Limits are judged as a set, so all items
    of one tier, model and metric have one direction.
    """

    kind: PartKind
    tier: str
    model: str
    metric: str
    cell: Cell | None
    before: Any
    after: Any
    direction: Direction

    @property
    def part(self) -> Part:
        """The part that it was judged as."""
        return Part(self.kind, self.tier, self.model, self.metric)


@dataclass(frozen=True)
class Effect:
    """A change's items with the layer that it changes just before and after it."""

    items: tuple[Item, ...]
    before: Policy
    after: Policy

    @property
    def direction(self) -> Direction:
        """Of all items together; mixed counts as tightening."""
        return overall(item.direction for item in self.items)

    @property
    def is_retirement(self) -> bool:
        """Whether an offer is withdrawn."""
        offers = (item for item in self.items if item.kind is PartKind.OFFER)
        return any(item.before and not item.after for item in offers)

    @property
    def tiers(self) -> frozenset[str]:
        """The tiers that anything touches."""
        return frozenset(tier for item in self.items for tier, _ in self._met_by(item))

    @property
    def tightened(self) -> frozenset[tuple[str, str]]:
        """The (tier, model) for which something gets tighter; "*" stands for all models."""
        taken = (item for item in self.items if takes_away(item.direction))
        return frozenset(pair for item in taken for pair in self._met_by(item))

    def _met_by(self, item: Item) -> Iterator[tuple[str, str]]:
        """Whom an item concerns, as (tier, model)."""
        if item.kind is PartKind.TEXT:
            limits = {**self.before.limits, **self.after.limits}
            yield from ((cell.tier, cell.model) for cell in limits if cell.metric == item.metric)
        elif item.kind is PartKind.MODEL:
            offers = self.before.offers | self.after.offers
            yield from ((tier, model) for tier, model in offers if model == item.model)
        else:
            yield item.tier, item.model or ALL_MODELS


class Ahead(NamedTuple):
    """A tightening that is announced: from `effective_at` (Unix seconds) for these (tier, model)."""

    change: int
    effective_at: int
    direction: Direction
    touches: frozenset[tuple[str, str]]


def effect_of(history: History, number: int) -> Effect:
    """What change `number` does; of a held or withdrawn one, what it would have done.

    Raises:
        KeyError: there is no such change.
    """
    return effect_at_place(history, history.changes[number])


def effect_at_place(history: History, change: ChangeInLog) -> Effect:
    """The same of a change that need not stand in the history."""
    before = layer_before(history, change)
    after = before.copy()
    apply(after, change)
    announced, at = change.announcement, change.effective_at
    is_opening = change.number == OPENING_CHANGE and not before.tiers
    found = tuple(
        item._replace(direction=Direction.NEUTRAL) if is_opening else item
        for item in _items(announced, before, after)
    )
    return Effect(found, as_policy(before, history, at), as_policy(after, history, at))


def layer_before(history: History, change: ChangeInLog) -> Lasting:
    """The layer that a change changes, just before it: what its `from` are read from."""
    change_class = change.announcement.change_class
    if change_class is ChangeClass.EMERGENCY_CUT:
        return with_raises(history, change.effective_at)
    if change_class is ChangeClass.TEMPORARY_RAISE:
        return history.lasting(change.effective_at)
    layer = history.lasting_before(change.effective_at)
    for other in history.ahead(change.effective_at):
        if other.order < change.order:
            layer.apply(other.announcement, other.effective_at)
    return layer


def apply(layer: Lasting, change: ChangeInLog) -> None:
    """Add a change to the layer that it changes."""
    if change.is_lasting:
        layer.apply(change.announcement, change.effective_at)
        return
    raises = change.announcement.change_class is ChangeClass.TEMPORARY_RAISE
    for row in change.announcement.rows:
        held = layer.limit(row.cell)
        value = raise_by(held, row.after) if raises else lower_by(held, row.after)
        if value is None:
            layer.limits.pop(row.cell, None)
        else:
            layer.limits[row.cell] = LimitInForce(value, change.effective_at, change.number)


def upcoming_tightenings(history: History, at: int) -> tuple[Ahead, ...]:
    """The announced changes after Unix second `at` that take something away, soonest first."""
    cuts = history.overlays(ChangeClass.EMERGENCY_CUT)
    later = [*history.ahead(at + 1), *(cut for cut in cuts if cut.effective_at > at)]
    found = []
    for change in sorted(later, key=lambda change: change.order):
        effect = effect_at_place(history, change)
        if takes_away(effect.direction):
            found.append(
                Ahead(change.number, change.effective_at, effect.direction, effect.tightened)
            )
    return tuple(found)


def _items(announced: Announcement, before: Lasting, after: Lasting) -> Iterator[Item]:
    for part in parts_of(announced):
        old, new = parts.value_of(before, part), parts.value_of(after, part)
        direction = parts.direction_of(part, old, new)
        for cell, was, becomes in _values(announced, part, (before, after)):
            yield Item(*part, cell, was, becomes, direction)


def _values(
    announced: Announcement, part: Part, layers: tuple[Lasting, Lasting]
) -> Iterable[tuple[Cell | None, Any, Any]]:
    """What a reader is shown of a part: cell by cell for limits."""
    before, after = layers
    if part.kind is PartKind.LIMIT:
        cells = sorted(row.cell for row in announced.rows if Part.of_cell(row.cell) == part)
        return [(cell, before.limit(cell), after.limit(cell)) for cell in cells]
    return [(None, _shown(before, part), _shown(after, part))]


def _shown(layer: Lasting, part: Part) -> Any:
    if part.kind is PartKind.RESERVE:
        return layer.reserve.get(part.tier, {}).get(part.metric)
    if part.kind is PartKind.TEXT:
        return layer.texts.get(part.metric)
    return parts.value_of(layer, part)


def as_change(announced: Announcement, *, seq: int, at: int) -> ChangeInLog:
    """An announcement as if it stood in the log as entry `seq` of Unix second `at`."""
    return ChangeInLog(
        announcement=announced,
        seq=seq,
        announced_at=at,
        effective_at=announced.effective_at,
        expires_at=announced.expires_at,
        wordings=(),
        status=Status.ANNOUNCED,
    )
