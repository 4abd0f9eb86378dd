"""Invitations: sent by mail, accepted once by whoever holds the mailbox, revoked."""

from dataclasses import dataclass, replace

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts.commands import create_person, end_sessions, prove_address
from portal.accounts.errors import ConfirmAddressFirst
from portal.accounts.models import User
from portal.accounts.queries import find_user_by_email, get_user
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.ids import new_id
from portal.core.outbox import queue_mail
from portal.core.secrets import digest, link_token
from portal.journal.commands import record
from portal.orgs import mails
from portal.orgs.errors import (
    InvitationAnswered,
    IsInvited,
    IsMember,
    NotYourInvitation,
    SignInFirst,
)
from portal.orgs.models import Invitation, Membership, Org, Role
from portal.orgs.people import (
    find_open_invitation,
    get_member,
    is_member,
    list_open_invitations,
    lock_invitation,
)
from portal.orgs.policy import (
    INVITATION_LASTS,
    Permission,
    is_open,
    may_invite_as,
    must_be_allowed,
    must_be_open,
    must_reach,
)
from portal.orgs.telling import tell


@dataclass(frozen=True)
class Joined:
    """Who became a member of what."""

    user: User
    org: Org
    role: Role


def invite(
    session: Session, *, actor: Actor, org: Org, email: str, role: Role, url: str
) -> Invitation:
    """Mail somebody the link that makes them a member; `url` is the portal's.

    Raises Forbidden, ConfirmAddressFirst, IsMember, IsInvited.
    """
    _must_be_allowed(session, actor=actor, org=org, role=role)
    if is_member(session, org.id, email):
        raise IsMember
    now = clock.now()
    before = find_open_invitation(session, org.id, email)
    if before is not None:
        if before.expires_at > now:
            raise IsInvited
        before.revoked_at = now
        session.flush()  # of two open ones the index would refuse the new
    invitation = Invitation(id=new_id("inv"), org_id=org.id, email=email, role=role, created_at=now)
    token = _renew(invitation, actor)
    session.add(invitation)
    try:
        session.flush()  # the index on open invitations decides between two at once
    except IntegrityError as error:
        if violates(error, "uq_invitations_open"):
            raise IsInvited from error
        raise
    _mail(session, actor=actor, org=org, invitation=invitation, link=f"{url}/invitations/{token}")
    details = {"email": email, "role": role.value}
    record(
        session, actor, "org:invitation:sent", org_id=org.id, subject_id=invitation.id, **details
    )
    return invitation


def resend(session: Session, *, actor: Actor, org: Org, invitation: Invitation, url: str) -> None:
    """Mail a new link for an invitation that the caller has locked; the one before ends.

    Raises Forbidden, ConfirmAddressFirst, InvitationAnswered.
    """
    _must_be_allowed(session, actor=actor, org=org, role=invitation.role)
    if not is_open(invitation):
        raise InvitationAnswered
    link = f"{url}/invitations/{_renew(invitation, actor)}"
    _mail(session, actor=actor, org=org, invitation=invitation, link=link)
    details = {"email": invitation.email, "role": invitation.role.value}
    record(
        session, actor, "org:invitation:resent", org_id=org.id, subject_id=invitation.id, **details
    )


def revoke(session: Session, *, actor: Actor, org: Org, invitation: Invitation) -> None:
    """End an open invitation that the caller has locked; a second time changes nothing.

    Raises Forbidden, InvitationAnswered.
    """
    mine = get_member(session, org, actor.user_id).role
    must_be_allowed(mine, Permission.MANAGE_MEMBERS)
    must_reach(mine, invitation.role)
    if invitation.accepted_at:
        raise InvitationAnswered
    if not invitation.revoked_at:
        end_invitation(session, actor=actor, invitation=invitation)


def end_invitations_of(
    session: Session, *, actor: Actor, org: Org, user_id: str, role: Role | None
) -> None:
    """Revoke the open invitations of a member whose role is `role` from now on, and would not allow them.

    Else who is removed could come back by an invitation of their own.
    """
    for invitation in list_open_invitations(session, org.id, sent_by=user_id):
        if role is None or not may_invite_as(role, invitation.role):
            end_invitation(session, actor=actor, invitation=invitation)


def accept(session: Session, *, actor: Actor, token: str) -> Joined:
    """Make the signed-in person a member. Raises InvitationOver, NotYourInvitation, IsMember."""
    invitation, org = _lock(session, token)
    user = get_user(session, actor.user_id)
    # An address that nobody has proved could be a stranger's, who waits for others' invitations.
    if user.email.lower() != invitation.email.lower() or user.email_confirmed_at is None:
        raise NotYourInvitation
    return _join(session, actor=actor, org=org, invitation=invitation, user=user)


def accept_as_newcomer(session: Session, *, actor: Actor, token: str, password_hash: str) -> Joined:
    """Make whoever holds the mailbox a person with this password, and a member.

    An account that somebody left unconfirmed becomes theirs: its password and its sessions end.
    Raises InvitationOver, SignInFirst (a confirmed account), PersonExists (two at once).
    """
    invitation, org = _lock(session, token)
    known = find_user_by_email(session, invitation.email)
    if known is None:
        user = create_person(
            session, actor=actor, email=invitation.email, password_hash=password_hash
        )
    else:
        user = get_user(session, known.id)
        if user.email_confirmed_at:
            raise SignInFirst
        user.password_hash = password_hash
        end_sessions(session, user_id=user.id)
    prove_address(session, user=user, at=clock.now())
    themselves = replace(actor, user_id=user.id, name=user.email, is_admin=False)
    record(session, themselves, "user:email:confirmed", subject_id=user.id)
    return _join(session, actor=themselves, org=org, invitation=invitation, user=user)


def _must_be_allowed(session: Session, *, actor: Actor, org: Org, role: Role) -> None:
    member = get_member(session, org, actor.user_id)
    must_be_allowed(member.role, Permission.MANAGE_MEMBERS)
    must_reach(member.role, role)
    # Else anybody could have us write to strangers, under an address that is not theirs.
    if member.user.email_confirmed_at is None:
        raise ConfirmAddressFirst


def _renew(invitation: Invitation, actor: Actor) -> str:
    """A new link's token, which the actor answers for; the one before opens nothing any more."""
    token, now = link_token(), clock.now()
    invitation.digest, invitation.sent_by = digest(token), actor.user_id or ""
    invitation.sent_at, invitation.expires_at = now, now + INVITATION_LASTS
    return token


def _mail(session: Session, *, actor: Actor, org: Org, invitation: Invitation, link: str) -> None:
    role = invitation.role.value
    message = mails.invited(to=invitation.email, org=org.name, by=actor.name, role=role, link=link)
    # The address stands for the person, who may have no account.
    event, person = f"invitation:{invitation.digest}", invitation.email.lower()
    queue_mail(session, message, event=event, person=person)


def end_invitation(session: Session, *, actor: Actor, invitation: Invitation) -> None:
    """Revoke an open invitation, whoever acts: for callers that have asked who may."""
    invitation.revoked_at = clock.now()
    record(
        session,
        actor,
        "org:invitation:revoked",
        org_id=invitation.org_id,
        subject_id=invitation.id,
        email=invitation.email,
        role=invitation.role.value,
    )


def _lock(session: Session, token: str) -> tuple[Invitation, Org]:
    found = lock_invitation(session, token)
    invitation = must_be_open(found and found[0], at=clock.now())
    return invitation, session.get_one(Org, invitation.org_id)


def _join(
    session: Session, *, actor: Actor, org: Org, invitation: Invitation, user: User
) -> Joined:
    if is_member(session, org.id, user.email):
        raise IsMember
    role = invitation.role
    invitation.accepted_at, invitation.accepted_by = clock.now(), user.id
    session.add(Membership(org_id=org.id, user_id=user.id, role=role))
    details = {"role": role.value, "invitation": invitation.id, "person": user.email}
    record(session, actor, "org:member:joined", org_id=org.id, subject_id=user.id, **details)
    tell(
        session,
        actor=actor,
        org_id=org.id,
        also=[session.get_one(User, invitation.sent_by)],
        message=lambda to: mails.joined(to=to, org=org.name, who=user.email, role=role.value),
    )
    return Joined(user, org, role)
