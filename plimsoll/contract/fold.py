"""Limits at an instant = the fold of the log's entries (LIMITS.md section 2, "Fold").

Pages, `/limits.json`, gateways and `plimsoll verify` all use this one function. Lasting changes
apply in the order (effective instant, number); over them temporary raises, cell by cell where more
generous; over them emergency cuts, where tighter. It says nothing about whether an entry was
lawful: that is `rules.check`, and nobody folds an entry that is not under a signed checkpoint.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plimsoll.contract.acts import DEFAULT_NOTICE
from plimsoll.contract.announcement import ChangeClass, Row
from plimsoll.contract.history import ANNOUNCED, NOT_UNDERSTOOD, ChangeInLog, History, Status, read
from plimsoll.contract.lasting import Lasting, LimitInForce
from plimsoll.contract.limits import ALL_MODELS, Cell, Limit
from plimsoll.contract.terms import Model, Tier

__all__ = [
    "ANNOUNCED",
    "NOT_UNDERSTOOD",
    "ChangeInLog",
    "LimitInForce",
    "Policy",
    "fold",
    "policy_of",
]


@dataclass(frozen=True)
class Policy:
    """All that the log says at an instant. Treat its mappings as read-only.

    `offers` holds (tier, model); `changes` all announced changes by number, whatever their state;
    `notice` the notice policy in force. `problem` is `entry_not_understood` when folding stopped at
    an entry of a newer kind or form: what stands before it is kept (LIMITS.md section 3).
    """

    models: dict[str, Model] = field(default_factory=dict)
    tiers: dict[str, Tier] = field(default_factory=dict)
    offers: frozenset[tuple[str, str]] = frozenset()
    limits: dict[Cell, LimitInForce] = field(default_factory=dict)
    counting: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"reserve": {}, "texts": {}}
    )
    changes: dict[int, ChangeInLog] = field(default_factory=dict)
    notice: Mapping[str, int] = field(default_factory=lambda: DEFAULT_NOTICE)
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
    return policy_of(read(entries, known_at), at)


def policy_of(history: History, at: int) -> Policy:
    """The policy at Unix second `at`, from a log that is read already."""
    return as_policy(with_overlays(history, at), history, at)


def as_policy(layer: Lasting, history: History, at: int) -> Policy:
    """A layer as a policy."""
    return Policy(
        models=layer.models,
        tiers=layer.tiers,
        offers=frozenset(layer.offers),
        limits=layer.limits,
        counting={"reserve": layer.reserve, "texts": layer.texts},
        changes=history.changes,
        notice=history.notice_at(at),
        problem=history.problem,
    )


def with_raises(history: History, at: int) -> Lasting:
    """The lasting layer at `at` under the temporary raises in force: what emergency cuts cut."""
    layer = history.lasting(at)
    for change in _in_force(history, ChangeClass.TEMPORARY_RAISE, at):
        for row in change.announcement.rows:
            held = layer.limits.get(row.cell)
            if held is not None and (raised := raise_by(held.limit, row.after)) != held.limit:
                _set(layer.limits, change, (row.cell, raised))
    return layer


def with_overlays(history: History, at: int) -> Lasting:
    """All three layers at `at`."""
    layer = with_raises(history, at)
    for change in _in_force(history, ChangeClass.EMERGENCY_CUT, at):
        for row in change.announcement.rows:
            held = layer.limit(row.cell)
            lowered = lower_by(held, row.after)
            if lowered != held and (held is not None or _has_room(layer, row.cell)):
                _set(layer.limits, change, (row.cell, lowered))
    _date_ends(layer, history, at)
    return layer


def _has_room(layer: Lasting, cell: Cell) -> bool:
    """Whether a limit may come where none is.

    The lasting layer moves under a cut: what it limits may never come, its name may be taken.
    """
    is_known = cell.tier in layer.tiers and cell.model in {ALL_MODELS, *layer.models}
    return is_known and all(each.name != cell.name for each in layer.limits)


def raise_by(limit: Limit | None, raised: Limit | None) -> Limit | None:
    """A limit under a temporary raise: quota and burst by maximum; no limit is the most."""
    if limit is None or raised is None:
        return None
    return limit.raised(quota=raised.quota, burst=raised.burst)


def lower_by(limit: Limit | None, lowered: Limit | None) -> Limit | None:
    """A limit under an emergency cut: quota and burst by minimum; no limit is the most."""
    if limit is None or lowered is None:
        return limit if lowered is None else lowered
    return limit.lowered(quota=lowered.quota, burst=lowered.burst)


def _in_force(history: History, change_class: ChangeClass, at: int) -> list[ChangeInLog]:
    return [change for change in history.overlays(change_class) if change.is_in_force(at)]


def _set(
    limits: dict[Cell, LimitInForce], change: ChangeInLog, value: tuple[Cell, Limit | None]
) -> None:
    cell, limit = value
    if limit is None:
        limits.pop(cell, None)
    else:
        limits[cell] = LimitInForce(limit, change.effective_at, change.number)


# ---- since when a limit holds that a temporary change touches ----


def _date_ends(layer: Lasting, history: History, at: int) -> None:
    """Say of each limit that an overlay touched by `at` when and by what it last became other.

    The end of a raise is a step like any other: who asks why a limit fell is told of the raise.
    """
    overlays = [
        change
        for change_class in (ChangeClass.TEMPORARY_RAISE, ChangeClass.EMERGENCY_CUT)
        for change in history.overlays(change_class)
        if change.effective_at <= at
    ]
    touched = {row.cell for change in overlays for row in change.announcement.rows}
    if not touched:
        return
    timelines = _timelines(history, touched, at)
    for cell, rows in timelines.items():
        held = layer.limits.get(cell)
        if held is not None:
            since, number = _last_step(rows, at)
            layer.limits[cell] = LimitInForce(held.limit, since, number)


def _timelines(
    history: History, cells: set[Cell], at: int
) -> dict[Cell, list[tuple[ChangeInLog, Row]]]:
    """By cell, the changes that give it a value by `at`, in fold order."""
    found: dict[Cell, list[tuple[ChangeInLog, Row]]] = {cell: [] for cell in cells}
    effective = [
        change
        for change in history.changes.values()
        if change.status is Status.ANNOUNCED and change.effective_at <= at
    ]
    for change in sorted(effective, key=lambda change: change.order):
        for row in change.announcement.rows:
            if row.cell in found:
                found[row.cell].append((change, row))
    return found


def _last_step(rows: list[tuple[ChangeInLog, Row]], at: int) -> tuple[int, int]:
    """The instant and the change of the last step of a cell's value by `at`."""
    edges = [(change.effective_at, change.number) for change, _ in rows]
    edges += [
        (change.expires_at, change.number)
        for change, _ in rows
        if change.expires_at is not None and change.expires_at <= at
    ]
    value, last = None, (0, 0)
    # Of several at one instant the newest is named.
    for instant, number in sorted(edges, key=lambda edge: (edge[0], -edge[1])):
        then = _value(rows, instant)
        if then != value:
            value, last = then, (instant, number)
    return last


def _value(rows: Iterable[tuple[ChangeInLog, Row]], at: int) -> Limit | None:
    value: Limit | None = None
    in_force = [(change, row) for change, row in rows if change.is_in_force(at)]
    for change_class in ChangeClass:
        for change, row in in_force:
            if change.announcement.change_class is not change_class:
                continue
            if change_class is ChangeClass.LASTING:
                value = row.after
            elif change_class is ChangeClass.TEMPORARY_RAISE:
                value = raise_by(value, row.after)
            else:
                value = lower_by(value, row.after)
    return value
