"""What a move takes away, and what a grant gives, in sentences rendered from the published limits."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

from plimsoll.contract import adjustments
from plimsoll.contract.direction import implies
from plimsoll.contract.fold import Policy
from plimsoll.contract.limits import ALL_MODELS, Cell, Kind, Limit, Period
from plimsoll.contract.terms import Tier
from plimsoll.contract.wording import amount, measure

ALL_MODELS_TEXT = "All models together"


class Identity(NamedTuple):
    """A limit without its tier: what a grant names."""

    model: str
    metric: str
    kind: str
    period: Period


def identity(of: Cell | adjustments.Grant) -> Identity:
    """The identity of a limit or of a grant."""
    return Identity(of.model, of.metric, str(of.kind), of.period)


def model_name(in_force: Policy, slug: str) -> str:
    """How pages call a model."""
    if slug == ALL_MODELS:
        return ALL_MODELS_TEXT
    return in_force.models[slug].name if slug in in_force.models else slug


def limit_name(in_force: Policy, of: Identity) -> str:
    """ "Opus 5 · requests per minute"."""
    return f"{model_name(in_force, of.model)} · {measure(cell_of(of))}"


def cell_of(of: Identity, *, tier: str = "any") -> Cell:
    """The cell that an identity names on a tier."""
    return Cell(tier, of.model, of.metric, Kind(of.kind), of.period)


def losses(in_force: Policy, before: str, after: str) -> tuple[str, ...]:
    """What an organisation no longer has on the tier `after`: keys, models, limits; a sentence each."""
    tiers = in_force.tiers
    gone = [
        f"{model.name} is no longer offered."
        for slug, model in in_force.models.items()
        if (before, slug) in in_force.offers and (after, slug) not in in_force.offers
    ]
    fewer = keys_fewer(tiers[before], tiers[after]) if before in tiers and after in tiers else None
    return (*([fewer] if fewer else []), *gone, *_lowered(in_force, before, after))


def keys_fewer(before: Tier, after: Tier) -> str | None:
    """That fewer keys can be live, where it is so."""
    if after.keys_max is None:
        return None
    if before.keys_max is not None and before.keys_max <= after.keys_max:
        return None
    was = "any number" if before.keys_max is None else f"{before.keys_max:,}"
    return (
        f"{after.keys_max:,} API keys can be live at once, not {was}. "
        "Keys above that go on working; no further one can be issued."
    )


def _lowered(in_force: Policy, before: str, after: str) -> Iterator[str]:
    old, new = _limits(in_force, before), _limits(in_force, after)
    offered = {model for tier, model in in_force.offers if tier == after}
    for of, limit in sorted(new.items(), key=lambda pair: pair[1].cell):
        if of.model != ALL_MODELS and of.model not in offered:
            continue
        if any(implies(each, limit) for each in _alike(old, of)):
            continue
        name = limit_name(in_force, of)
        if of in old:
            yield f"{name}: {_step(old[of], limit)}."
        elif of.model == ALL_MODELS or (before, of.model) in in_force.offers:
            yield f"{name}: {amount(of.metric, limit.quota)}, which was not limited so before."


def _step(old: Limit, new: Limit) -> str:
    metric = new.cell.metric
    if new.quota != old.quota:
        return f"{amount(metric, old.quota)} → {amount(metric, new.quota)}"
    return (
        f"at most {amount(metric, new.burst or 0)} in one go, not {amount(metric, old.burst or 0)}"
    )


def _alike(limits: dict[Identity, Limit], of: Identity) -> Iterable[Limit]:
    return [limit for other, limit in limits.items() if (other.model, other.metric) == of[:2]]


def _limits(in_force: Policy, tier: str) -> dict[Identity, Limit]:
    return {
        identity(cell): held.limit for cell, held in in_force.limits.items() if cell.tier == tier
    }


def raised_limit(in_force: Policy, tier: str, of: Identity) -> Limit | None:
    """The tier's own limit that a grant of this identity would raise."""
    held = in_force.limits.get(cell_of(of, tier=tier))
    return None if held is None else held.limit


def without_effect(
    in_force: Policy,
    tier: Tier,
    given: adjustments.Grant,
    *,
    beside: Iterable[adjustments.Grant] = (),
    at: int = 0,
) -> str | None:
    """Why a grant raises nothing on a tier as things stand; None where it raises something.

    `beside`: the organisation's grants that are not over at the instant `at`.
    """
    of = identity(given)
    if of.model != ALL_MODELS and (tier.slug, of.model) not in in_force.offers:
        return f"The tier {tier.name} does not offer {model_name(in_force, of.model)}."
    limit = raised_limit(in_force, tier.slug, of)
    if limit is None:
        return f"The tier {tier.name} has no such limit: it does not limit this."
    if limit.raised(quota=given.quota, burst=given.burst) == limit:
        return f"The tier {tier.name} allows {allowance(limit)}, which is no less."
    more = next((each for each in beside if _covers(each, given, at=at)), None)
    if more is None or more.ends_at is None:
        return None
    allows = allowance(limit.raised(quota=more.quota, burst=more.burst))
    until = datetime.fromtimestamp(more.ends_at, UTC)
    return f"Another grant allows {allows} until {until:%Y-%m-%d %H:%M} UTC, which is no less."


def _covers(other: adjustments.Grant, given: adjustments.Grant, *, at: int) -> bool:
    """Whether another grant raises as much for all of the time left; of two alike, the first given counts."""
    return (
        identity(other) == identity(given)
        and other.quota >= given.quota
        and (other.burst or 0) >= (given.burst or 0)
        and other.starts_at <= max(given.starts_at, at)
        and (other.ends_at or inf) >= (given.ends_at or inf)
        and (_raise(other) != _raise(given) or other.id < given.id)
    )


def _raise(of: adjustments.Grant) -> tuple[int | None, ...]:
    return of.quota, of.burst, of.ends_at


def quota(limit: Limit) -> str:
    """A limit's quota as people read it: "1,000", "$500"."""
    return amount(limit.cell.metric, limit.quota)


def allowance(limit: Limit) -> str:
    """ "1,000 requests per minute", with the burst where it is another number."""
    metric = limit.cell.metric
    joint = " of " if metric == "spend_microusd" else " "
    text = amount(metric, limit.quota) + joint + measure(limit.cell)
    if limit.burst in {None, limit.quota}:
        return text
    return f"{text}, at most {amount(metric, limit.burst or 0)} in one go"


def granted(in_force: Policy, given: adjustments.Grant) -> str:
    """What a grant allows: "Opus 5: 2,000 requests per minute"."""
    of = identity(given)
    limit = Limit(cell_of(of), given.quota, given.burst)
    return f"{model_name(in_force, of.model)}: {allowance(limit)}"


def raised_from(in_force: Policy, tier: str, given: adjustments.Grant) -> str | None:
    """What the tier itself allows where a grant raises it: "1,000"."""
    limit = raised_limit(in_force, tier, identity(given))
    if limit is None:
        return None
    raised = limit.raised(quota=given.quota, burst=given.burst)
    # The two are separate: a grant may raise the burst alone.
    if raised.quota != limit.quota:
        return amount(given.metric, limit.quota)
    return f"at most {amount(given.metric, limit.burst or 0)} in one go"
