"""Limits at an instant = the fold of the log's entries (LIMITS.md section 2, "Fold").

Pages, `/limits.json`, gateways and `plimsoll verify` all use this one function. It folds lasting
changes in the order (effective instant, number). It says nothing about whether an entry was
lawful: that is `rules.check`, and nobody folds an entry that is not under a signed checkpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from plimsoll.contract.announcement import Announcement, ChangeClass
from plimsoll.contract.limits import ALL_MODELS, Cell, InvalidField, Limit
from plimsoll.contract.terms import Model, Tier

ANNOUNCED = "change.announced"
NOT_UNDERSTOOD = "entry_not_understood"


class LimitInForce(NamedTuple):
    """A limit, the instant since when it holds (Unix seconds) and the change that made it so."""

    limit: Limit
    since: int
    change: int


class ChangeInLog(NamedTuple):
    """An announced change with the position and instant of its entry."""

    announcement: Announcement
    seq: int
    announced_at: int


@dataclass(frozen=True)
class Policy:
    """All that the log says at an instant. Treat its mappings as read-only.

    `offers` holds (tier, model); `changes` all announced changes by number, effective or not.
    `problem` is `entry_not_understood` when folding stopped at an entry of a newer kind or form:
    what stands before it is kept (LIMITS.md section 3).
    """

    models: dict[str, Model] = field(default_factory=dict)
    tiers: dict[str, Tier] = field(default_factory=dict)
    offers: frozenset[tuple[str, str]] = frozenset()
    limits: dict[Cell, LimitInForce] = field(default_factory=dict)
    counting: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"reserve": {}, "texts": {}}
    )
    changes: dict[int, ChangeInLog] = field(default_factory=dict)
    problem: str | None = None

    def limits_for(self, tier: str, model: str | None) -> tuple[LimitInForce, ...]:
        """The limits that a request meets: the model's and the shared ones, in page order.

        Without a model only the shared ones (EXACT.md 20).
        """
        met = (model, ALL_MODELS)
        cells = [cell for cell in self.limits if cell.tier == tier and cell.model in met]
        return tuple(self.limits[cell] for cell in sorted(cells))

    def has_offers(self, tier: str) -> bool:
        """Whether the tier offers any model; one that does not is retired or not yet verified."""
        return any(offering == tier for offering, _ in self.offers)

    def tiers_by_rank(self) -> list[Tier]:
        """All tiers, lowest rank first."""
        return sorted(self.tiers.values(), key=lambda tier: (tier.rank, tier.slug))

    def starting_tier(self) -> Tier | None:
        """Where an organisation starts: the lowest tier of automatic entry that offers something.

        None before any change is effective (EXACT.md 11).
        """
        for tier in self.tiers_by_rank():
            if tier.entry == "automatic" and self.has_offers(tier.slug):
                return tier
        return None

    def reserve(self, tier: str, metric: str) -> int:
        """What a request that names no maximum reserves of a metric; 0 where none is published."""
        amount: int = self.counting["reserve"].get(tier, {}).get(metric, 0)
        return amount


def fold(entries: Sequence[Mapping[str, Any]], at: int, known_at: int | None = None) -> Policy:
    """The policy at Unix second `at`, from entries in the order of `seq`.

    `known_at` leaves out entries logged after that instant: what was known then of `at`.
    """
    changes, problem = _announced(entries, known_at)
    effective = [
        change.announcement for change in changes if change.announcement.effective_at <= at
    ]
    effective.sort(key=lambda change: (change.effective_at, change.change))
    policy = _apply(effective)
    return Policy(
        models=policy.models,
        tiers=policy.tiers,
        offers=policy.offers,
        limits=policy.limits,
        counting=policy.counting,
        changes={change.announcement.change: change for change in changes},
        problem=problem,
    )


def _announced(
    entries: Sequence[Mapping[str, Any]], known_at: int | None
) -> tuple[list[ChangeInLog], str | None]:
    """The changes up to the first entry that is not understood, and whether there was one."""
    changes: list[ChangeInLog] = []
    for entry in entries:
        if known_at is not None and entry["at"] > known_at:
            break
        if not entry["kind"].startswith("change."):
            continue
        if entry["kind"] != ANNOUNCED:
            return changes, NOT_UNDERSTOOD
        try:
            announcement = Announcement.parse(entry["body"])
        except InvalidField:
            return changes, NOT_UNDERSTOOD
        if announcement.change_class is not ChangeClass.LASTING:
            return changes, NOT_UNDERSTOOD
        changes.append(ChangeInLog(announcement, entry["seq"], entry["at"]))
    return changes, None


def _apply(announcements: Sequence[Announcement]) -> Policy:
    models: dict[str, Model] = {}
    tiers: dict[str, Tier] = {}
    offers: set[tuple[str, str]] = set()
    limits: dict[Cell, LimitInForce] = {}
    counting: dict[str, dict[str, Any]] = {"reserve": {}, "texts": {}}
    for change in announcements:
        models.update((model.slug, model) for model in change.models)
        tiers.update((tier.slug, tier) for tier in change.tiers)
        for offer in change.offers:
            (offers.add if offer.offered else offers.discard)((offer.tier, offer.model))
        _apply_counting(counting, change.counting)
        _apply_rows(limits, change)
    return Policy(models, tiers, frozenset(offers), limits, counting)


def _apply_rows(limits: dict[Cell, LimitInForce], change: Announcement) -> None:
    for row in change.rows:
        if row.after is None:
            limits.pop(row.cell, None)
        else:
            limits[row.cell] = LimitInForce(row.after, change.effective_at, change.change)


def _apply_counting(counting: dict[str, dict[str, Any]], change: Mapping[str, Any]) -> None:
    counting["texts"].update(change["texts"])
    for tier, amounts in change["reserve"].items():
        counting["reserve"].setdefault(tier, {}).update(amounts)
