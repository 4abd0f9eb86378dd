from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from portal.accounts.commands import (
    Origin,
    create_person,
    greet_known_address,
    mail_confirmation,
)
from portal.accounts.models import User
from portal.accounts.queries import find_user_by_email
from portal.core.actor import Actor
from portal.orgs.commands import create_org
from portal.orgs.models import Org
from portal.tiers.models import AssignmentKind, TierAssignment
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.queries import starting_tier


@dataclass(frozen=True, kw_only=True)
class SignUp:
    """What a person gives to begin: the password comes as its hash, made before the transaction."""

    email: str
    password_hash: str
    organisation: str


def sign_up(session: Session, *, actor: Actor, request: SignUp, origin: Origin) -> None:
    """Create a person and their organisation, and mail the link that confirms the address.

    An address that is known gets a mail instead; the caller answers the same, so that nobody learns
    which addresses are known. It stands here because this is the lowest slice that may see both.
    Raises NoTiersYet, PersonExists, SlugTaken.
    """
    starting_tier(session)  # where nobody can begin yet, a known address is told the same
    known = find_user_by_email(session, request.email)
    if known is not None:
        greet_known_address(
            session, actor=actor, user=known, password_hash=request.password_hash, origin=origin
        )
        return
    user = create_person(
        session, actor=actor, email=request.email, password_hash=request.password_hash
    )
    founder = replace(actor, user_id=user.id, name=user.email)
    found_org(session, actor=founder, owner=user, name=request.organisation)
    mail_confirmation(session, user=user, browser=origin.browser, url=origin.url)


def found_org(session: Session, *, actor: Actor, owner: User, name: str) -> Org:
    """Create an organisation on the tier where everyone begins. Raises NoTiersYet, SlugTaken."""
    tier = starting_tier(session)
    org = create_org(session, actor=actor, owner=owner, name=name)
    session.add(
        TierAssignment(
            org_id=org.id,
            number=1,
            tier=tier.slug,
            kind=AssignmentKind.START,
            reason="Where everyone begins.",
        )
    )
    return org


def assign_tier(
    session: Session,
    *,
    actor: Actor,
    org: Org,
    tier: str,
    reason: str,
    kind: AssignmentKind = AssignmentKind.MANUAL,
) -> None:
    """Move an organisation, locked by the caller, to a tier, at once.

    Raises UnknownTier, TierOffersNothing, SameTier, NoticeTooShort (to a lower tier), MoveAhead.
    """
    decision = TierDecision(tier=tier, reason=reason, kind=kind)
    decide_tier(session, actor=actor, org=org, decision=decision)
