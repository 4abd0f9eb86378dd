"""What becomes of a person's organisations when they delete their account."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.journal.commands import record
from portal.orgs.invitations import end_invitation
from portal.orgs.models import Invitation, Membership, Org, Role
from portal.orgs.people import has_other_owner, list_open_invitations
from portal.orgs.policy import is_open


@dataclass(frozen=True)
class OrgToLeave:
    """An organisation of the person. `is_alone`: nobody else is there, so it is closed with the account."""

    org: Org
    is_alone: bool
    is_last_owner: bool


def list_orgs_to_leave(
    session: Session, user_id: str, *, for_update: bool = False
) -> list[OrgToLeave]:
    """A person's organisations; locked, where asked, in the order in which everybody locks several."""
    query = (
        select(Org, Membership.role)
        .join(Membership, Membership.org_id == Org.id)
        .where(Membership.user_id == user_id)
        .order_by(Org.id)
        .execution_options(populate_existing=True)
    )
    rows = session.execute(query.with_for_update(of=Org) if for_update else query).all()
    found = []
    for org, role in rows:
        members = select(func.count()).where(Membership.org_id == org.id)
        is_alone = session.scalar(members) == 1
        is_last = role is Role.OWNER and not has_other_owner(session, org.id, than=user_id)
        found.append(OrgToLeave(org, is_alone=is_alone, is_last_owner=is_last and not is_alone))
    return found


def close(session: Session, *, actor: Actor, org: Org) -> None:
    """End a locked organisation with its only member; its keys are revoked before, which needs one.

    Its invitations end, too: whoever accepted one would be in an organisation without an owner.
    """
    for invitation in list_open_invitations(session, org.id):
        end_invitation(session, actor=actor, invitation=invitation)
    session.execute(delete(Membership).where(Membership.org_id == org.id))
    record(session, actor, "org:closed", org_id=org.id, subject_id=org.id)


def forget_addresses(
    session: Session, *, actor: Actor, addresses: Collection[str], words: str
) -> None:
    """Put words in the place of a person's addresses in all invitations; those that are open end."""
    lower = [address.lower() for address in addresses]
    theirs = or_(Invitation.accepted_by == actor.user_id, func.lower(Invitation.email).in_(lower))
    query = select(Invitation).where(theirs).order_by(Invitation.id)
    for invitation in session.scalars(query.with_for_update()):
        invitation.email = words
        if is_open(invitation):
            end_invitation(session, actor=actor, invitation=invitation)
