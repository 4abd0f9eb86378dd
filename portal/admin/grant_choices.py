"""Which limits can be raised: those of the organisation's tier first, then what other tiers limit."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from plimsoll.contract.fold import Policy
from plimsoll.contract.limits import ALL_MODELS
from portal.core import clock
from portal.core.actor import Actor
from portal.orgs.models import Org
from portal.orgs.queries import get_org_as_admin
from portal.tiers import words
from portal.tiers.queries import current_assignment
from portal.tiers.words import Identity
from portal.transparency.queries import policy


@dataclass(frozen=True)
class GrantPage:
    """What the form to grant needs: `choices` grouped for reading, `limits` by their values."""

    org: Org
    tier: str
    choices: Mapping[str, list[tuple[str, str]]]
    limits: Mapping[str, Identity]


def get_grant_page(session: Session, actor: Actor, slug: str) -> GrantPage:
    """Raises NotFound."""
    org = get_org_as_admin(session, actor, slug)
    in_force = policy(session, clock.timestamp())
    tier = in_force.tiers[current_assignment(session, org.id).tier]
    # On pages limits of single models come before those that all models share.
    cells = sorted(in_force.limits, key=lambda cell: cell.sort_key[1:])
    all_limits = {_value(words.identity(cell)): words.identity(cell) for cell in cells}
    own, other = [], []
    for value, limit in all_limits.items():
        held = words.raised_limit(in_force, tier.slug, limit)
        name = words.limit_name(in_force, limit)
        if held is None or not _is_offered(in_force, tier.slug, limit):
            other.append((value, name))
        else:
            own.append((value, f"{name} (now {words.quota(held)})"))
    groups = {f"Limits of the tier {tier.name}": own, "Without effect: not limited there": other}
    choices = {name: options for name, options in groups.items() if options}
    return GrantPage(org=org, tier=tier.name, choices=choices, limits=all_limits)


def _is_offered(in_force: Policy, tier: str, limit: Identity) -> bool:
    return limit.model == ALL_MODELS or (tier, limit.model) in in_force.offers


def _value(limit: Identity) -> str:
    # Only ever looked up, never taken apart.
    return "/".join(map(str, limit))
