"""The published table: for people the tiers side by side, for machines one document. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plimsoll.contract import canonical
from plimsoll.contract.fold import LimitInForce, Policy
from plimsoll.contract.limits import ALL_MODELS, METRICS, Cell, Kind, Period
from plimsoll.contract.terms import Tier
from portal.changelog import words
from portal.transparency.queries import SignedLog
from portal.web.filters import iso

ALL_MODELS_TEXT = "All models together"


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
    """One cell of the table. Without an `amount` it is not limited, or (`offered` False) not to be had."""

    amount: str | None = None
    notes: tuple[str, ...] = ()
    change: int | None = None
    offered: bool = True


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


def make_table(policy: Policy, *, held: Mapping[str, tuple[str, ...]]) -> LimitsTable:
    """The table of a policy; `held` says which of the reader's organisations are on which tier."""
    tiers = policy.tiers_by_rank()
    models = {slug: model.name for slug, model in policy.models.items()}
    return LimitsTable(
        tiers=tuple(_card(tier, held.get(tier.slug, ())) for tier in tiers),
        sections=tuple(
            Section(f"model-{slug.replace('.', '-')}", title, lines)
            for slug, title in {**models, ALL_MODELS: ALL_MODELS_TEXT}.items()
            if (lines := tuple(_lines(policy, tiers, model=slug)))
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


def _lines(policy: Policy, tiers: list[Tier], *, model: str) -> Iterable[Line]:
    cells = [cell for cell in policy.limits if cell.model == model]
    measures: dict[tuple[str, Period, Kind], Cell] = {}
    for cell in sorted(cells, key=page_order):
        measures.setdefault((cell.metric, cell.period, cell.kind), cell)
    for (metric, period, kind), example in measures.items():
        found = (Cell(tier.slug, model, metric, kind, period) for tier in tiers)
        yield Line(
            title=words.capital(words.measure(example)),
            manner=words.manner(example),
            values=tuple(_value(policy, cell) for cell in found),
        )


def _value(policy: Policy, cell: Cell) -> Value:
    if cell.model != ALL_MODELS and (cell.tier, cell.model) not in policy.offers:
        return Value(offered=False)
    held = policy.limits.get(cell)
    if held is None:
        return Value()
    notes = (words.spread(held.limit), words.burst(held.limit))
    return Value(
        amount=words.amount(cell.metric, held.limit.quota),
        notes=tuple(note for note in notes if note),
        change=held.change,
    )


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


def make_document(log: SignedLog, at: int) -> bytes:
    """`/limits.json` at Unix second `at`: no clock in it, so the same limits are the same bytes (EXACT 18)."""
    policy = log.policy(at)
    ends = _ends(log, at)
    limits = [_wire(held, ends.get(cell)) for cell, held in sorted(policy.limits.items())]
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


def _ends(log: SignedLog, at: int) -> dict[Cell, int]:
    """When a limit stops being what it is, as far as that is announced."""
    now, ends = log.policy(at).limits, {}
    step = log.next_step(at)
    while step is not None:
        then = log.policy(step).limits
        for cell, held in now.items():
            if cell not in ends and (cell not in then or then[cell].limit != held.limit):
                ends[cell] = step
        step = log.next_step(step)
    return ends


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
