"""The published table: for people the tiers side by side, for machines one document. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from plimsoll.contract import canonical
from plimsoll.contract.fold import LimitInForce, Policy
from plimsoll.contract.limits import ALL_MODELS, METRICS, Cell, Kind, Period
from plimsoll.contract.terms import Tier
from portal.changelog import words
from portal.changelog.timeline import Turn, coming, offer_turn
from portal.transparency.queries import Timeline
from portal.web.filters import iso

ALL_MODELS_TEXT = "All models together"
# How many coming values a cell names.
LATER_MAX = 3


@dataclass(frozen=True)
class TierCard:
    """A tier in words. `orgs` are the reader's organisations that hold it."""

    slug: str
    name: str
    description: str
    entry: str
    requirements: str
    keys: str
    orgs: tuple[str, ...]

    @property
    def heading(self) -> str:
        return f"{self.name} (your tier)" if self.orgs else self.name


@dataclass(frozen=True)
class Value:
    """One cell of the table. Without an `amount` it is not limited, or (`offered` False) not to be had.

    `coming` is what it will hold, `turn` when it is no longer offered, or will be.
    """

    amount: str | None = None
    notes: tuple[str, ...] = ()
    change: int | None = None
    offered: bool = True
    quota: int = 0
    coming: tuple["Later", ...] = ()
    turn: Turn | None = None


@dataclass(frozen=True)
class Later:
    """What a cell will hold from `at` (Unix seconds) on, by the start or end of a change."""

    amount: str
    at: int
    change: int
    is_end: bool
    quota: int | None
    is_less: bool


@dataclass(frozen=True)
class Line:
    """A metric across the tiers."""

    title: str
    manner: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Section:
    """A model's lines, or those of all models together."""

    id: str
    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class LimitsTable:
    """All limits at an instant. `changes` are the numbers of those that made them."""

    tiers: tuple[TierCard, ...]
    sections: tuple[Section, ...]
    counting: tuple[tuple[str, str], ...]
    changes: tuple[int, ...]

    @property
    def columns(self) -> list[dict[str, object]]:
        """The headings, as the table component takes them."""
        headings = ({"title": tier.heading, "numeric": True} for tier in self.tiers)
        return [{"title": "Limit"}, *headings]


def make_table(timeline: Timeline, at: int, *, held: Mapping[str, tuple[str, ...]]) -> LimitsTable:
    """The table at Unix second `at`, with what comes after.

    `held` says which of the reader's organisations are on which tier.
    """
    policy = timeline.policy(at)
    tiers = policy.tiers_by_rank()
    models = {slug: model.name for slug, model in policy.models.items()}
    return LimitsTable(
        tiers=tuple(_card(tier, held.get(tier.slug, ())) for tier in tiers),
        sections=tuple(
            Section(f"model-{slug.replace('.', '-')}", title, lines)
            for slug, title in {**models, ALL_MODELS: ALL_MODELS_TEXT}.items()
            if (lines := tuple(_lines(timeline, at, model=slug)))
        ),
        counting=tuple(_counting(policy, tiers)),
        changes=tuple(sorted({each.change for each in policy.limits.values()})),
    )


def page_order(cell: Cell) -> tuple[bool, str, int, tuple[object, ...]]:
    """The order of lines: by model, those of all models last, and metrics as people think of them."""
    shared = cell.model == ALL_MODELS
    return shared, cell.model, list(METRICS).index(cell.metric), cell.sort_key


def _card(tier: Tier, orgs: tuple[str, ...]) -> TierCard:
    return TierCard(
        slug=tier.slug,
        name=tier.name,
        description=tier.description,
        entry=words.entry(tier.entry),
        requirements=words.capital(words.requirements(tier.requirements)),
        keys=words.capital(words.keys(tier.keys_max)),
        orgs=orgs,
    )


def _lines(timeline: Timeline, at: int, *, model: str) -> Iterable[Line]:
    policy = timeline.policy(at)
    cells = [cell for cell in policy.limits if cell.model == model]
    measures: dict[tuple[str, Period, Kind], Cell] = {}
    for cell in sorted(cells, key=page_order):
        measures.setdefault((cell.metric, cell.period, cell.kind), cell)
    for (metric, period, kind), example in measures.items():
        tiers = (tier.slug for tier in policy.tiers_by_rank())
        found = (Cell(tier, model, metric, kind, period) for tier in tiers)
        yield Line(
            title=words.capital(words.measure(example)),
            manner=words.manner(example),
            values=tuple(_value(timeline, at, cell) for cell in found),
        )


def _value(timeline: Timeline, at: int, cell: Cell) -> Value:
    policy, turn = timeline.policy(at), None
    if cell.model != ALL_MODELS:
        pair = (cell.tier, cell.model)
        turn = offer_turn(timeline, pair, at)
        if pair not in policy.offers:
            return Value(offered=False, turn=turn)
    held, later = policy.limits.get(cell), tuple(_later(timeline, at, cell))
    if held is None:
        return Value(coming=later, turn=turn)
    notes = (words.spread(held.limit), words.burst(held.limit))
    return Value(
        amount=words.amount(cell.metric, held.limit.quota),
        notes=tuple(note for note in notes if note),
        change=held.change,
        quota=held.limit.quota,
        coming=later,
        turn=turn,
    )


def _later(timeline: Timeline, at: int, cell: Cell) -> Iterable[Later]:
    """What the cell will hold, as far as a table can tell; the rest stands in the changelog."""
    before = timeline.policy(at).limits.get(cell)
    quota = before.limit.quota if before else None
    for limit, turn in islice(coming(timeline, cell, at), LATER_MAX):
        shown = words.amount(cell.metric, limit.quota) if limit else "no limit"
        extra = words.burst(limit) if limit else None
        yield Later(
            amount=f"{shown}, {extra}" if extra else shown,
            at=turn.at,
            change=turn.change,
            is_end=turn.is_end,
            quota=limit.quota if limit else None,
            is_less=limit is not None and (quota is None or limit.quota < quota),
        )
        quota = limit.quota if limit else None


def _counting(policy: Policy, tiers: list[Tier]) -> Iterable[tuple[str, str]]:
    for metric, info in METRICS.items():
        said = [policy.counting["texts"].get(metric, ""), _reserves(policy, tiers, metric=metric)]
        if text := " ".join(part for part in said if part):
            yield words.capital(info.title), text


def _reserves(policy: Policy, tiers: list[Tier], *, metric: str) -> str:
    amounts = {tier.name: policy.reserve(tier.slug, metric) for tier in tiers}
    if not any(amounts.values()):
        return ""
    if len(set(amounts.values())) == 1:
        return f"The reserve is {next(iter(amounts.values())):,} in every tier."
    shown = words.listing(f"{reserve:,} in {name}" for name, reserve in amounts.items())
    return f"The reserve is {shown}."


def make_document(timeline: Timeline, at: int) -> bytes:
    """`/limits.json` at Unix second `at`: no clock in it, so the same limits are the same bytes (EXACT 18)."""
    policy = timeline.policy(at)
    limits = [_wire(held, _end(timeline, cell, at)) for cell, held in sorted(policy.limits.items())]
    offers = [{"tier": tier, "model": model} for tier, model in sorted(policy.offers)]
    return canonical.encode(
        {
            "format": 1,
            "models": [model.to_wire() for model in policy.models.values()],
            "tiers": [tier.to_wire() for tier in policy.tiers_by_rank()],
            "offers": offers,
            "counting": policy.counting,
            "limits": limits,
        }
    )


def _end(timeline: Timeline, cell: Cell, at: int) -> int | None:
    """When a limit stops being what it is, as far as that is announced."""
    first = next(coming(timeline, cell, at), None)
    return first.turn.at if first else None


def _wire(held: LimitInForce, ends_at: int | None) -> dict[str, Any]:
    cell = held.limit.cell
    return {
        "name": cell.name,
        **cell.to_wire(),
        "unit": METRICS[cell.metric].unit,
        **held.limit.values(),
        "change": held.change,
        "valid_from": iso(held.since),
        "valid_to": None if ends_at is None else iso(ends_at),
    }
