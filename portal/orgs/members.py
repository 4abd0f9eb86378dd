"""Acts on members. The caller has locked the organisation, so that two at once cannot leave it ownerless."""

from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.journal.commands import record
from portal.orgs import mails
from portal.orgs.errors import IsOwner, LastOwner
from portal.orgs.invitations import end_invitations_of
from portal.orgs.models import Org, Role
from portal.orgs.people import Member, get_member, has_other_owner
from portal.orgs.policy import Permission, must_be_allowed, must_reach
from portal.orgs.queries import role_of
from portal.orgs.telling import tell


def change_role(session: Session, *, actor: Actor, org: Org, member: Member, role: Role) -> None:
    """Give a member another role; the one they have changes nothing. Raises Forbidden, LastOwner."""
    mine = role_of(session, actor, org.id)
    must_be_allowed(mine, Permission.MANAGE_MEMBERS)
    must_reach(mine, member.role, role)
    was = member.role
    if role is was:
        return
    if was is Role.OWNER:
        _must_keep_an_owner(session, org, member)
    member.membership.role = role
    end_invitations_of(session, actor=actor, org=org, user_id=member.user.id, role=role)
    details = {"was": was.value, "role": role.value, "person": member.user.email}
    record(
        session, actor, "org:member:changed", org_id=org.id, subject_id=member.user.id, **details
    )
    change = mails.RoleChange(who=member.user.email, was=was.value, role=role.value)
    tell(
        session,
        actor=actor,
        org_id=org.id,
        also=[member.user],
        message=lambda to: mails.role_changed(to=to, org=org.name, by=actor.name, change=change),
    )


def hand_over(session: Session, *, actor: Actor, org: Org, member: Member) -> None:
    """Make a member an owner and the acting owner a manager, in one act.

    Raises Forbidden, IsOwner (oneself, or an owner already: then it is enough to step down).
    """
    mine = get_member(session, org, actor.user_id)
    must_be_allowed(mine.role, Permission.HAND_OVER)
    if member.role is Role.OWNER:
        raise IsOwner
    was = member.role
    member.membership.role = Role.OWNER
    session.flush()  # the new owner stands in the table before the old one steps down
    mine.membership.role = Role.MANAGER
    end_invitations_of(session, actor=actor, org=org, user_id=mine.user.id, role=Role.MANAGER)
    details = {"was": was.value, "person": member.user.email}
    record(
        session,
        actor,
        "org:ownership:handed_over",
        org_id=org.id,
        subject_id=member.user.id,
        **details,
    )
    tell(
        session,
        actor=actor,
        org_id=org.id,
        message=lambda to: mails.handed_over(
            to=to, org=org.name, by=actor.name, who=member.user.email
        ),
    )


def remove_member(session: Session, *, actor: Actor, org: Org, member: Member) -> None:
    """End somebody's membership; their keys stay. Raises Forbidden, LastOwner."""
    mine = role_of(session, actor, org.id)
    must_be_allowed(mine, Permission.MANAGE_MEMBERS)
    must_reach(mine, member.role)
    _end(session, actor=actor, org=org, member=member, tag="org:member:removed")
    tell(
        session,
        actor=actor,
        org_id=org.id,
        also=[member.user],
        message=lambda to: mails.removed(to=to, org=org.name, by=actor.name, who=member.user.email),
    )


def leave(session: Session, *, actor: Actor, org: Org) -> None:
    """End one's own membership: no role is needed for that. Raises NotFound, LastOwner."""
    member = get_member(session, org, actor.user_id)
    _end(session, actor=actor, org=org, member=member, tag="org:member:left")
    tell(
        session,
        actor=actor,
        org_id=org.id,
        message=lambda to: mails.left(to=to, org=org.name, who=member.user.email),
    )


def _end(session: Session, *, actor: Actor, org: Org, member: Member, tag: str) -> None:
    if member.role is Role.OWNER:
        _must_keep_an_owner(session, org, member)
    end_invitations_of(session, actor=actor, org=org, user_id=member.user.id, role=None)
    session.delete(member.membership)
    details = {"role": member.role.value, "person": member.user.email}
    record(session, actor, tag, org_id=org.id, subject_id=member.user.id, **details)


def _must_keep_an_owner(session: Session, org: Org, member: Member) -> None:
    if not has_other_owner(session, org.id, than=member.user.id):
        raise LastOwner
