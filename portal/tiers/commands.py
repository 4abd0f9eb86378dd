from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core.actor import Actor
from portal.core.ids import new_id
from portal.core.outbox import queue_mail
from portal.journal.commands import record
from portal.orgs.commands import create_org
from portal.orgs.models import Org
from portal.orgs.queries import owners
from portal.tiers import mails
from portal.tiers.errors import SameTier
from portal.tiers.models import TierAssignment
from portal.tiers.queries import current_assignment, get_tier, starting_tier


def found_org(session: Session, *, actor: Actor, owner: User, name: str) -> Org:
    """Create an organisation on the tier where everyone begins. Raises NoTiersYet."""
    tier = starting_tier(session)
    org = create_org(session, actor=actor, owner=owner, name=name)
    session.add(
        TierAssignment(org_id=org.id, number=1, tier=tier.slug, reason="Where everyone begins.")
    )
    return org


def assign_tier(session: Session, *, actor: Actor, org: Org, tier: str, reason: str) -> None:
    """Move an organisation, locked by the caller, to a tier, at once. Raises UnknownTier, SameTier."""
    chosen = get_tier(session, tier)
    before = current_assignment(session, org.id)
    if before.tier == chosen.slug:
        raise SameTier
    session.add(
        TierAssignment(
            org_id=org.id,
            number=before.number + 1,
            tier=chosen.slug,
            reason=reason,
            assigned_by=actor.user_id,
        )
    )
    details = {"tier": chosen.slug, "before": before.tier, "reason": reason}
    record(session, actor, "org:tier:assigned", org_id=org.id, subject_id=org.id, **details)
    event = new_id("evt")
    for owner in owners(session, org.id):
        message = mails.moved(to=owner.email, org=org.name, tier=chosen.name, reason=reason)
        queue_mail(session, message, event=event, person=owner.id)
