"""What a change can make tighter, part by part, and when a step of one part does.

LIMITS.md section 2, "Direction". A limit's part is its whole set: all limits of a tier, model and
metric together. What nobody can use before or after a step (a model that the tier does not offer)
neither tightens nor loosens.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from plimsoll.contract import direction
from plimsoll.contract.announcement import Announcement
from plimsoll.contract.direction import Direction
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import Cell, Limit
from plimsoll.contract.terms import ENTRIES, Tier


class PartKind(StrEnum):
    """What a part is of."""

    LIMIT = "limit"
    OFFER = "offer"
    TIER = "tier"
    MODEL = "model"
    RESERVE = "reserve"
    TEXT = "text"


class Part(NamedTuple):
    """One thing that changes give values to; what does not name it is empty."""

    kind: PartKind
    tier: str = ""
    model: str = ""
    metric: str = ""

    @classmethod
    def of_cell(cls, cell: Cell) -> "Part":
        """The part that a cell is judged with."""
        return cls(PartKind.LIMIT, cell.tier, cell.model, cell.metric)


class Usable(NamedTuple):
    """A value, and whether anybody can meet it."""

    is_offered: bool
    value: Any


def parts_of(announced: Announcement) -> list[Part]:
    """The parts that a change gives values to, each once, in the order of its fields."""
    found = [
        *(Part(PartKind.MODEL, model=model.slug) for model in announced.models),
        *(Part(PartKind.TIER, tier.slug) for tier in announced.tiers),
        *(Part(PartKind.OFFER, offer.tier, offer.model) for offer in announced.offers),
        *(
            Part(PartKind.RESERVE, tier, metric=metric)
            for tier, amounts in announced.counting["reserve"].items()
            for metric in amounts
        ),
        *(Part(PartKind.TEXT, metric=metric) for metric in announced.counting["texts"]),
        *(Part.of_cell(row.cell) for row in announced.rows),
    ]
    return list(dict.fromkeys(found))


def value_of(layer: Lasting, part: Part) -> Any:
    """What a layer says of a part; only `takes_away` and `direction_of` look inside."""
    return _VALUES[part.kind](layer, part)


def takes_away(part: Part, before: Any, after: Any) -> bool:
    """Whether a step of a part from one value to another may refuse what was accepted."""
    return _TAKES_AWAY[part.kind](before, after)


def direction_of(part: Part, before: Any, after: Any) -> Direction:
    """The direction of such a step."""
    if takes_away(part, before, after):
        back = takes_away(part, after, before) and part.kind is not PartKind.TEXT
        return Direction.MIXED if back else Direction.TIGHTENING
    return Direction.LOOSENING if takes_away(part, after, before) else Direction.NEUTRAL


# ---- values ----


def _tier_value(layer: Lasting, part: Part) -> Tier | None:
    return layer.tiers.get(part.tier)


def _reserve_value(layer: Lasting, part: Part) -> Usable:
    amount = layer.reserve.get(part.tier, {}).get(part.metric, 0)
    return Usable(layer.is_offered(part.tier, "*"), amount)


def _text_value(layer: Lasting, part: Part) -> Usable:
    is_counted = any(cell.metric == part.metric for cell in layer.limits)
    return Usable(is_counted, layer.texts.get(part.metric))


def _limit_value(layer: Lasting, part: Part) -> Usable:
    limits = layer.group(part.tier, part.model, part.metric)
    return Usable(layer.is_offered(part.tier, part.model), limits)


_VALUES: Mapping[PartKind, Callable[[Lasting, Part], Any]] = {
    PartKind.LIMIT: _limit_value,
    PartKind.OFFER: lambda layer, part: layer.is_offered(part.tier, part.model),
    PartKind.TIER: _tier_value,
    PartKind.MODEL: lambda layer, part: layer.models.get(part.model),
    PartKind.RESERVE: _reserve_value,
    PartKind.TEXT: _text_value,
}


# ---- judging ----


def _limits_taken(before: Usable, after: Usable) -> bool:
    old: frozenset[Limit] = before.value
    return before.is_offered and after.is_offered and direction.tightens(old, after.value)


def _tier_taken(before: Tier | None, after: Tier | None) -> bool:
    """A lower `keys_max`, a new or harder requirement, a stricter way to enter."""
    if before is None or after is None:
        return False
    return (
        _less(before.keys_max, after.keys_max)
        or ENTRIES.index(after.entry) > ENTRIES.index(before.entry)
        or any(
            wanted > before.requirements.get(name, 0) for name, wanted in after.requirements.items()
        )
    )


def _less(before: int | None, after: int | None) -> bool:
    return after is not None and (before is None or after < before)


_TAKES_AWAY: Mapping[PartKind, Callable[[Any, Any], bool]] = {
    PartKind.LIMIT: _limits_taken,
    PartKind.OFFER: lambda before, after: before and not after,
    PartKind.TIER: _tier_taken,
    PartKind.MODEL: lambda before, after: False,  # noqa: ARG005 -- a name takes nothing away
    # More is reserved for a request that names no maximum, so fewer fit.
    PartKind.RESERVE: lambda before, after: before.is_offered and after.value > before.value,
    # Nobody can tell of a text that it only admits more.
    PartKind.TEXT: lambda before, after: before.is_offered and after.value != before.value,
}
