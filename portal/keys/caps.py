"""Caps: lower limits that an organisation sets on a key of its own (LIMITS 1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from plimsoll.contract.adjustments import Cap
from plimsoll.contract.fold import Policy
from plimsoll.contract.limits import ALL_MODELS, InvalidField, Limit
from plimsoll.contract.wording import amount
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Invalid
from portal.journal.commands import record
from portal.keys.errors import KeyEnded
from portal.keys.models import ApiKey, KeyState
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import must_be_let
from portal.tiers import words
from portal.tiers.queries import current_assignment, current_grants
from portal.tiers.words import Identity
from portal.transparency.queries import policy


@dataclass(frozen=True)
class CapShown:
    """A cap as people read it. `no_effect`: why it lowers nothing as things stand."""

    value: str
    allows: str
    limit: str | None
    no_effect: str | None


@dataclass(frozen=True)
class CapPage:
    """`choices`: the limits that can be capped, value and words; `limits` by their values."""

    caps: tuple[CapShown, ...]
    choices: tuple[tuple[str, str], ...]
    limits: Mapping[str, Identity]


def get_cap_page(session: Session, org: Org, key: ApiKey) -> CapPage:
    """The caps of a key, and the limits of its organisation that it could lower."""
    in_force = policy(session, clock.timestamp())
    limits = _limits(session, org, in_force)
    held = tuple(Cap(**each) for each in key.caps)
    usable = [
        of
        for of in limits
        if of.model == ALL_MODELS or key.models is None or of.model in key.models
    ]
    return CapPage(
        caps=tuple(_shown(in_force, limits, key=key, cap=cap) for cap in sorted(held, key=_order)),
        choices=tuple((_value(of), _choice(in_force, limits[of])) for of in usable),
        limits={_value(of): of for of in (*limits, *(_identity(cap) for cap in held))},
    )


def set_cap(
    session: Session, *, actor: Actor, org: Org, key: ApiKey, limit: Identity, quota: int
) -> None:
    """Cap one limit for a key that the caller has locked; a cap on it is replaced.

    Raises Forbidden, KeyEnded, Invalid (limit, quota).
    """
    must_be_let(session, actor, key.org_id, needs=Permission.EDIT_KEY)
    _must_live(key)
    held = _limits(session, org, policy(session, clock.timestamp())).get(limit)
    if held is None:
        raise Invalid("Your tier has no such limit to lower.", field="limit")
    if quota >= held.quota:
        text = f"Your limit is {words.quota(held)}. A cap has to be lower."
        raise Invalid(text, field="quota")
    cap = _parsed(limit, quota)
    others = [each for each in key.caps if _identity(Cap(**each)) != limit]
    key.caps = [*others, cap.to_wire()]
    _journal(session, actor, key, tag="org:key:capped", limit=_value(limit), quota=f"{quota:,}")


def remove_cap(session: Session, *, actor: Actor, key: ApiKey, limit: Identity) -> None:
    """Take a cap off a key that the caller has locked: the organisation's limit is left.

    A second time changes nothing. Raises Forbidden, KeyEnded.
    """
    must_be_let(session, actor, key.org_id, needs=Permission.EDIT_KEY)
    _must_live(key)
    left = [each for each in key.caps if _identity(Cap(**each)) != limit]
    if len(left) == len(key.caps):
        return
    key.caps = left
    _journal(session, actor, key, tag="org:key:uncapped", limit=_value(limit))


def _must_live(key: ApiKey) -> None:
    if key.state(clock.now()) in {KeyState.REVOKED, KeyState.EXPIRED}:
        raise KeyEnded("This key has ended: a cap would change nothing.")


def _parsed(limit: Identity, quota: int) -> Cap:
    """The cap as gateways will read it: their own parser says whether they can."""
    try:
        return Cap.parse({**limit._asdict(), "quota": quota, "burst": None}, "cap")
    except InvalidField as error:
        raise Invalid(f"This number {error.text}.", field="quota") from error


def _limits(session: Session, org: Org, in_force: Policy) -> dict[Identity, Limit]:
    """What the organisation may do now, its grants included, in the order of pages."""
    tier = current_assignment(session, org.id).tier
    found = {
        words.identity(cell): in_force.limits[cell].limit
        for cell in sorted(in_force.limits, key=lambda cell: cell.sort_key)
        if cell.tier == tier and (cell.model == ALL_MODELS or (tier, cell.model) in in_force.offers)
    }
    for grant in current_grants(session, org.id, clock.now()):
        of = words.identity(grant.raises)
        if of in found:
            found[of] = found[of].raised(quota=grant.quota, burst=grant.burst)
    return found


def _shown(
    in_force: Policy, limits: Mapping[Identity, Limit], *, key: ApiKey, cap: Cap
) -> CapShown:
    of = _identity(cap)
    held, capped = limits.get(of), Limit(words.cell_of(of), cap.quota, cap.burst)
    name = words.model_name(in_force, of.model)
    return CapShown(
        value=_value(of),
        allows=f"{name}: {words.allowance(capped)}",
        limit=None if held is None else amount(of.metric, held.quota),
        no_effect=_no_effect(in_force, held, key=key, cap=cap),
    )


def _no_effect(in_force: Policy, held: Limit | None, *, key: ApiKey, cap: Cap) -> str | None:
    name = words.model_name(in_force, cap.model)
    if not key.may_call(cap.model):
        return f"The key may not call {name} at all."
    if held is not None and held.lowered(quota=cap.quota, burst=cap.burst) == held:
        return f"Your limit is {words.allowance(held)}, which is no more."
    return None


def _choice(in_force: Policy, limit: Limit) -> str:
    return f"{words.limit_name(in_force, words.identity(limit.cell))} (your limit: {words.quota(limit)})"


def _identity(cap: Cap) -> Identity:
    return Identity(cap.model, cap.metric, cap.kind, cap.period)


def _value(of: Identity) -> str:
    # Only ever looked up, never taken apart.
    return "/".join(map(str, of))


def _order(cap: Cap) -> tuple[str, ...]:
    return tuple(map(str, cap))


def _journal(session: Session, actor: Actor, key: ApiKey, *, tag: str, **details: str) -> None:
    named = {"name": key.name, "prefix": key.prefix, **details}
    record(session, actor, tag, org_id=key.org_id, subject_id=key.id, **named)
