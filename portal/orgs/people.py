"""Reads about who belongs to an organisation, and who is invited to."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import SecondFactor, User
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import NotFound
from portal.core.secrets import digest
from portal.orgs.models import Invitation, Membership, Org, Role
from portal.orgs.policy import Permission, may, may_invite_as, roles_given_by
from portal.orgs.queries import role_of


@dataclass(frozen=True)
class Member:
    """A member as forms and mails name them."""

    membership: Membership
    user: User

    @property
    def role(self) -> Role:
        return self.membership.role


@dataclass(frozen=True)
class MemberRow:
    """One line of the members' page, with what its reader may do there."""

    user_id: str
    email: str
    role: Role
    joined_at: datetime
    has_second_factor: bool
    is_you: bool
    may_change: bool
    may_hand_over: bool


@dataclass(frozen=True)
class InvitationRow:
    """An invitation that waits for its answer."""

    id: str
    email: str
    role: Role
    sent_at: datetime
    sent_by: str
    expires_at: datetime
    is_over: bool
    may_change: bool


@dataclass(frozen=True)
class MembersPage:
    members: tuple[MemberRow, ...]
    invitations: tuple[InvitationRow, ...]
    may_manage: bool

    @property
    def owners(self) -> int:
        return sum(member.role is Role.OWNER for member in self.members)


def get_members_page(session: Session, actor: Actor, org: Org) -> MembersPage:
    """Who belongs to an organisation that the actor is a member of; to who manages members, the invited too."""
    role = role_of(session, actor, org.id)
    may_manage = may(role, Permission.MANAGE_MEMBERS)
    return MembersPage(
        members=_members(session, actor, org, role=role),
        invitations=_invitations(session, org, role=role) if may_manage else (),
        may_manage=may_manage,
    )


def _members(session: Session, actor: Actor, org: Org, *, role: Role) -> tuple[MemberRow, ...]:
    rows = session.execute(
        select(User, Membership, SecondFactor.user_id)
        .join(Membership, Membership.user_id == User.id)
        .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
        .where(Membership.org_id == org.id)
        .order_by(User.email)
    )
    may_manage, may_hand_over = (
        may(role, Permission.MANAGE_MEMBERS),
        may(role, Permission.HAND_OVER),
    )
    found = [
        MemberRow(
            user_id=user.id,
            email=user.email,
            role=membership.role,
            joined_at=membership.created_at,
            has_second_factor=factor is not None,
            is_you=user.id == actor.user_id,
            may_change=may_manage and membership.role in roles_given_by(role),
            may_hand_over=may_hand_over and user.id != actor.user_id,
        )
        for user, membership, factor in rows
    ]
    order = list(Role)
    return tuple(sorted(found, key=lambda row: order.index(row.role)))


def _invitations(session: Session, org: Org, *, role: Role) -> tuple[InvitationRow, ...]:
    rows = session.execute(
        select(Invitation, User.email)
        .join(User, User.id == Invitation.sent_by)
        .where(Invitation.org_id == org.id, *_OPEN)
        .order_by(Invitation.sent_at, Invitation.id)
    )
    return tuple(
        InvitationRow(
            id=invitation.id,
            email=invitation.email,
            role=invitation.role,
            sent_at=invitation.sent_at,
            sent_by=sender,
            expires_at=invitation.expires_at,
            is_over=invitation.expires_at <= clock.now(),
            may_change=may_invite_as(role, invitation.role),
        )
        for invitation, sender in rows
    )


_OPEN = (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))


def get_member(session: Session, org: Org, user_id: str | None) -> Member:
    """A member of an organisation; to change them the caller has locked it. Raises NotFound."""
    found = session.execute(
        select(Membership, User)
        .join(User, User.id == Membership.user_id)
        .where(Membership.org_id == org.id, Membership.user_id == user_id)
        .execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound
    return Member(*found)


def has_other_owner(session: Session, org_id: str, *, than: str) -> bool:
    """Whether an organisation has an owner besides one person."""
    others = select(Membership.user_id).where(
        Membership.org_id == org_id, Membership.role == Role.OWNER, Membership.user_id != than
    )
    return session.scalar(others.limit(1)) is not None


def is_member(session: Session, org_id: str, email: str) -> bool:
    """Whether the person with this address is a member."""
    found = select(Membership.user_id).join(User, User.id == Membership.user_id)
    found = found.where(Membership.org_id == org_id, func.lower(User.email) == email.lower())
    return session.scalar(found) is not None


def get_invitation(
    session: Session, org: Org, invitation_id: str, *, for_update: bool = False
) -> Invitation:
    """An invitation to an organisation. Raises NotFound."""
    query = select(Invitation).where(Invitation.org_id == org.id, Invitation.id == invitation_id)
    found = session.scalar(query.with_for_update() if for_update else query)
    if found is None:
        raise NotFound
    return found


def find_open_invitation(session: Session, org_id: str, email: str) -> Invitation | None:
    """The invitation of an address that waits for its answer, locked."""
    return session.scalar(
        select(Invitation)
        .where(Invitation.org_id == org_id, func.lower(Invitation.email) == email.lower(), *_OPEN)
        .with_for_update()
    )


def list_open_invitations(
    session: Session, org_id: str, *, sent_by: str | None = None
) -> list[Invitation]:
    """The open invitations to an organisation, or those that one member answers for, locked."""
    query = select(Invitation).where(Invitation.org_id == org_id, *_OPEN)
    if sent_by is not None:
        query = query.where(Invitation.sent_by == sent_by)
    return list(session.scalars(query.order_by(Invitation.id).with_for_update()))


def find_invitation(session: Session, token: str) -> tuple[Invitation, Org] | None:
    """The invitation of a mailed token, and the organisation."""
    found = session.execute(
        select(Invitation, Org)
        .join(Org, Org.id == Invitation.org_id)
        .where(Invitation.digest == digest(token))
    ).first()
    return None if found is None else (found[0], found[1])


def lock_invitation(session: Session, token: str) -> tuple[Invitation, Org] | None:
    """As `find_invitation`, both locked: the organisation first, as all who change its members do."""
    found = find_invitation(session, token)
    if found is None:
        return None
    invitation, org = found
    session.refresh(org, with_for_update=True)
    session.refresh(invitation, with_for_update=True)
    return invitation, org
