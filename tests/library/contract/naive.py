"""A second reading of LIMITS.md section 2, written from its text alone: plain, slow, on raw JSON.

It shares nothing with `plimsoll.contract`: cells are tuples, values are (quota, burst). Whoever
changes one of the two models has to convince the other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Cell = tuple[str, str, str, str, Any]
Values = tuple[int, int | None]


@dataclass
class Change:
    """What is known of a change after some prefix of the log."""

    number: int
    layer: str
    effective: int
    expires: int | None
    rows: dict[Cell, Values | None]
    offers: dict[tuple[str, str], bool]
    reserve: dict[tuple[str, str], int]
    keys_max: dict[str, int | None]
    status: str = "announced"
    notice_left: int | None = None
    held_by: int | None = None

    @property
    def order(self) -> tuple[int, int]:
        return self.effective, self.number

    @property
    def keys(self) -> set[Any]:
        reserves = (("reserve", *each) for each in self.reserve)
        return {*self.rows, *self.offers, *self.keys_max, *reserves}

    def counts(self, at: int) -> bool:
        ended = self.expires is not None and self.expires <= at
        return self.status == "announced" and self.effective <= at and not ended


@dataclass
class Layer:
    """Everything with a value at an instant."""

    limits: dict[Cell, Values] = field(default_factory=dict)
    offers: set[tuple[str, str]] = field(default_factory=set)
    reserve: dict[tuple[str, str], int] = field(default_factory=dict)
    keys_max: dict[str, int | None] = field(default_factory=dict)


def cell_of(row: Mapping[str, Any]) -> Cell:
    return (row["tier"], row["model"], row["metric"], row["kind"], row["period"])


def values_of(wire: Mapping[str, Any] | None) -> Values | None:
    return None if wire is None else (wire["quota"], wire["burst"])


def changes(entries: Iterable[Mapping[str, Any]], known_at: int | None = None) -> dict[int, Change]:
    """All changes as the entries logged by `known_at` leave them."""
    known: dict[int, Change] = {}
    for entry in entries:
        if known_at is not None and entry["at"] > known_at:
            break
        kind, body, at = entry["kind"], entry["body"], entry["at"]
        if kind == "change.announced":
            known[body["change"]] = _announced(body)
        elif kind.startswith("change.") and kind != "change.amended":
            _act(known, known[body["change"]], kind=kind, body=body, at=at)
    return known


def _announced(body: Mapping[str, Any]) -> Change:
    return Change(
        number=body["change"],
        layer=body["class"],
        effective=body["effective_at"],
        expires=body["expires_at"],
        rows={cell_of(row): values_of(row["to"]) for row in body["rows"]},
        offers={(each["tier"], each["model"]): each["offered"] for each in body["offers"]},
        reserve={
            (tier, metric): amount
            for tier, amounts in body["counting"]["reserve"].items()
            for metric, amount in amounts.items()
        },
        keys_max={tier["slug"]: tier["keys_max"] for tier in body["tiers"]},
    )


def _act(
    known: dict[int, Change], change: Change, *, kind: str, body: Mapping[str, Any], at: int
) -> None:
    if kind in {"change.released", "change.rescheduled"}:
        change.status, change.notice_left, change.held_by = "announced", None, None
        change.effective, change.expires = body["effective_at"], body["expires_at"]
    elif kind == "change.withdrawn" and change.counts(at):
        # Only an emergency cut may be: it ends now, and was in force until now.
        change.expires = at
    else:
        stood = change.status == "announced"
        if kind == "change.held":
            _hold(change, at, None)
        else:
            change.status = "withdrawn"
        if stood and change.layer == "lasting":
            _take_along(known, change, at)


def _hold(change: Change, at: int, by: int | None) -> None:
    change.status, change.held_by = "held", by
    change.notice_left = max(0, change.effective - at)


def _take_along(known: dict[int, Change], first: Change, at: int) -> None:
    """Later announced changes of the same cells are held too, and those that stand on them."""
    touched = set(first.keys)
    for change in sorted(known.values(), key=lambda each: each.order):
        waits = change.layer == "lasting" and change.status == "announced" and change.effective > at
        if waits and change.order > first.order and touched & change.keys:
            _hold(change, at, first.number)
            touched |= change.keys


def lasting(
    known: Mapping[int, Change], at: int, *, before: tuple[int, int] | None = None
) -> Layer:
    """The lasting layer at `at`; with `before`, only of changes that come earlier in the order."""
    layer = Layer()
    for change in sorted(known.values(), key=lambda each: each.order):
        if change.layer != "lasting" or not change.counts(at):
            continue
        if before is not None and change.order >= before:
            continue
        for cell, values in change.rows.items():
            if values is None:
                layer.limits.pop(cell, None)
            else:
                layer.limits[cell] = values
        for offer, offered in change.offers.items():
            (layer.offers.add if offered else layer.offers.discard)(offer)
        layer.reserve.update(change.reserve)
        layer.keys_max.update(change.keys_max)
    return layer


def whole(known: Mapping[int, Change], at: int) -> Layer:
    """All three layers at `at`: raises give more where there is a limit, cuts give less."""
    layer = lasting(known, at)
    for cell in list(layer.limits):
        raised = [
            change.rows[cell]
            for change in known.values()
            if change.layer == "temporary_raise" and change.counts(at) and cell in change.rows
        ]
        if None in raised:
            del layer.limits[cell]
        elif raised:
            layer.limits[cell] = _each(max, [layer.limits[cell], *raised])
    for change in known.values():
        if change.layer == "emergency_cut" and change.counts(at):
            for cell, values in change.rows.items():
                if values is not None:
                    stands = [layer.limits[cell]] if cell in layer.limits else []
                    layer.limits[cell] = _each(min, [*stands, values])
    return layer


def _each(choose: Any, values: list[Values]) -> Values:
    """Quota and burst separately."""
    quota = choose(quota for quota, _ in values)
    bursts = [burst for _, burst in values if burst is not None]
    return quota, choose(bursts) if bursts else None


def edges(known: Mapping[int, Change]) -> list[int]:
    """All instants at which anything may begin or end."""
    found = {change.effective for change in known.values()}
    found |= {change.expires for change in known.values() if change.expires is not None}
    return sorted(found)
