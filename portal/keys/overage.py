"""What an organisation uses beyond a tier: it stands here, since this is where keys and tiers are both seen."""

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.fold import Policy
from plimsoll.contract.terms import Tier
from portal.core import clock
from portal.keys.models import ApiKey
from portal.keys.queries import count_live
from portal.orgs.models import Org
from portal.tiers import words
from portal.tiers.models import TierMove
from portal.tiers.queries import current_assignment
from portal.tiers.shown import MoveShown, show_move, taken_by_last_step
from portal.transparency.queries import policy


def overage(session: Session, org: Org, tier: str) -> tuple[str, ...]:
    """What the organisation has now beyond a tier, a sentence each; nothing of it is ever deleted.

    Of the tier that it holds, this is what its last step down left over.
    """
    in_force, held = policy(session, clock.timestamp()), current_assignment(session, org.id).tier
    lost = (
        taken_by_last_step(session, org.id) if held == tier else words.losses(in_force, held, tier)
    )
    return (*_keys(session, in_force, org=org, tier=in_force.tiers[tier]), *lost)


def show_planned(session: Session, org: Org, move: TierMove | None) -> MoveShown | None:
    """A planned move of the organisation, with what it has now beyond the tier to come."""
    if move is None:
        return None
    return replace(show_move(session, move), takes_away=overage(session, org, move.tier))


def _keys(session: Session, in_force: Policy, *, org: Org, tier: Tier) -> tuple[str, ...]:
    live = count_live(session, org.id, at=clock.now())
    said = []
    if tier.keys_max is not None and live > tier.keys_max:
        said.append(
            f"{live:,} API keys are live, and {tier.name} allows {tier.keys_max:,}. All go on working; "
            f"a further one can be issued once {live - tier.keys_max + 1:,} of them are revoked."
        )
    for model, count in sorted(_tied_to(session, org, in_force, tier=tier.slug).items()):
        one = count == 1
        said.append(
            f"{count:,} live API key{'' if one else 's'} may call {words.model_name(in_force, model)}, "
            f"which {tier.name} does not offer: such calls are refused."
        )
    return tuple(said)


def _tied_to(session: Session, org: Org, in_force: Policy, *, tier: str) -> dict[str, int]:
    """How many live keys name a model that the tier does not offer, by model."""
    now = clock.now()
    query = select(ApiKey.models, ApiKey.expires_at).where(
        ApiKey.org_id == org.id, ApiKey.revoked_at.is_(None)
    )
    found: dict[str, int] = {}
    for models, expires_at in session.execute(query):
        if expires_at is not None and expires_at <= now:
            continue
        for model in models or ():
            if (tier, model) not in in_force.offers:
                found[model] = found.get(model, 0) + 1
    return found
