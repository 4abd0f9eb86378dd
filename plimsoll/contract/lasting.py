"""The lasting layer: what published changes say that end by no date of their own.

LIMITS.md section 2, "Fold": lasting changes apply in the order (effective instant, number).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from plimsoll.contract.announcement import Announcement
from plimsoll.contract.limits import ALL_MODELS, Cell, Limit
from plimsoll.contract.terms import Model, Tier


class LimitInForce(NamedTuple):
    """A limit, the instant since when it holds (Unix seconds) and the change that made it so."""

    limit: Limit
    since: int
    change: int


@dataclass
class Lasting:
    """Models, tiers, offers of (tier, model), limits and counting rule; grows by `apply`."""

    models: dict[str, Model] = field(default_factory=dict)
    tiers: dict[str, Tier] = field(default_factory=dict)
    offers: set[tuple[str, str]] = field(default_factory=set)
    limits: dict[Cell, LimitInForce] = field(default_factory=dict)
    reserve: dict[str, dict[str, int]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def apply(self, change: Announcement, effective_at: int) -> None:
        """Add a change; `effective_at` is the instant at which it came to be, in Unix seconds."""
        self.models.update((model.slug, model) for model in change.models)
        self.tiers.update((tier.slug, tier) for tier in change.tiers)
        for offer in change.offers:
            pair = (offer.tier, offer.model)
            (self.offers.add if offer.offered else self.offers.discard)(pair)
        self._apply_counting(change.counting)
        for row in change.rows:
            if row.after is None:
                self.limits.pop(row.cell, None)
            else:
                self.limits[row.cell] = LimitInForce(row.after, effective_at, change.change)

    def copy(self) -> "Lasting":
        """The same, to be changed on its own."""
        return Lasting(
            models=dict(self.models),
            tiers=dict(self.tiers),
            offers=set(self.offers),
            limits=dict(self.limits),
            reserve={tier: dict(amounts) for tier, amounts in self.reserve.items()},
            texts=dict(self.texts),
        )

    def limit(self, cell: Cell) -> Limit | None:
        """The limit of a cell, None where there is none."""
        held = self.limits.get(cell)
        return None if held is None else held.limit

    def group(self, tier: str, model: str, metric: str) -> frozenset[Limit]:
        """All limits of a tier, model (or "*") and metric: what a direction is judged on."""
        asked = (tier, model, metric)
        return frozenset(
            held.limit
            for cell, held in self.limits.items()
            if (cell.tier, cell.model, cell.metric) == asked
        )

    def is_offered(self, tier: str, model: str) -> bool:
        """Whether the tier offers the model; for "*", any model."""
        if model == ALL_MODELS:
            return any(offering == tier for offering, _ in self.offers)
        return (tier, model) in self.offers

    def _apply_counting(self, counting: Mapping[str, Any]) -> None:
        self.texts.update(counting["texts"])
        for tier, amounts in counting["reserve"].items():
            self.reserve.setdefault(tier, {}).update(amounts)
