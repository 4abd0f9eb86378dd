from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core.actor import Actor
from portal.core.db import transaction
from portal.core.errors import Conflict
from portal.orgs import invitations
from portal.orgs.asking import Question, ask, ask_again
from portal.orgs.forms import AskForm, InviteForm
from portal.orgs.models import Invitation, Org, Role
from portal.orgs.people import get_invitation
from portal.orgs.policy import Permission, must_reach, roles_given_by
from portal.orgs.queries import get_org, role_of
from portal.web import responses, throttle
from portal.web.session import session, settings

bp = Blueprint("invitations", __name__)

OF_ORG = "/orgs/<org>/invitations"


@bp.get(f"{OF_ORG}/new")
def new_invitation(org: str) -> Response:
    found, roles = _inviting(current_actor(), org)
    form = InviteForm(role=Role.DEVELOPER.value).offer(roles)
    return responses.page("orgs/invite.html", org=found, form=form)


@bp.post(OF_ORG)
def invite(org: str) -> Response:
    form, actor = InviteForm(), current_actor()
    form.prove()
    found, roles = _inviting(actor, org)
    if not form.offer(roles).validate():
        return _invite_again(form, found)
    email, role = form.email.data, Role(form.role.data)
    _may_mail(actor, email)
    try:
        with transaction(session()):
            found, _ = _inviting(actor, org, for_update=True)
            invitations.invite(
                session(), actor=actor, org=found, email=email, role=role, url=settings().url
            )
    except Conflict as error:
        form.refuse(error.public, field="email")
        return _invite_again(form, _inviting(actor, org)[0])
    return _to_members(found, f"We have sent the invitation to {email}.")


def _inviting(actor: Actor, org: str, *, for_update: bool = False) -> tuple[Org, tuple[Role, ...]]:
    """The organisation, and the roles as which the actor may invite people to it."""
    needs = Permission.MANAGE_MEMBERS
    found = get_org(session(), actor, org, needs=needs, for_update=for_update)
    return found, roles_given_by(role_of(session(), actor, found.id))


def _invite_again(form: InviteForm, org: Org) -> Response:
    return responses.invalid(
        "orgs/invite.html", fragment="orgs/_invite_form.html", form=form, org=org
    )


def _may_mail(actor: Actor, email: str) -> None:
    """Raises TooMany: whoever owns the mailbox must not be flooded, and nobody writes to the world through us."""
    throttle.take("invite", actor.user_id or "")
    throttle.take("mail_link", email.lower())


@bp.get(f"{OF_ORG}/<invitation>/resend")
def ask_resend(org: str, invitation: str) -> Response:
    found, row = _changeable(current_actor(), org, invitation)
    return ask(_resend_question(found, row), AskForm())


@bp.post(f"{OF_ORG}/<invitation>/resend")
def resend(org: str, invitation: str) -> Response:
    form, actor = AskForm(), current_actor()
    form.prove()
    found, row = _changeable(actor, org, invitation)
    if not form.validate():
        return ask_again(_resend_question(found, row), form)
    _may_mail(actor, row.email)
    try:
        with transaction(session()):
            found, row = _changeable(actor, org, invitation, for_update=True)
            invitations.resend(
                session(), actor=actor, org=found, invitation=row, url=settings().url
            )
    except Conflict as error:
        form.refuse(error.public)
        return ask_again(_resend_question(*_changeable(actor, org, invitation)), form)
    return _to_members(found, f"We have sent {row.email} a new link. The one before ends.")


def _resend_question(org: Org, invitation: Invitation) -> Question:
    return Question(
        title=f"Invite {invitation.email} again",
        lead="They get a new link, for 7 days. The one before ends.",
        action=url_for("invitations.resend", org=org.slug, invitation=invitation.id),
        button="Send it again",
        back=(url_for("orgs.member_list", org=org.slug), "Members"),
        is_final=False,
    )


@bp.get(f"{OF_ORG}/<invitation>/revoke")
def ask_revoke(org: str, invitation: str) -> Response:
    found, row = _changeable(current_actor(), org, invitation)
    return ask(_revoke_question(found, row), AskForm())


@bp.post(f"{OF_ORG}/<invitation>/revoke")
def revoke(org: str, invitation: str) -> Response:
    form, actor = AskForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            found, row = _changeable(actor, org, invitation, for_update=True)
            if not form.validate():
                return ask_again(_revoke_question(found, row), form)
            invitations.revoke(session(), actor=actor, org=found, invitation=row)
    except Conflict as error:
        form.refuse(error.public)
        return ask_again(_revoke_question(*_changeable(actor, org, invitation)), form)
    return _to_members(found, f"The invitation of {row.email} is revoked.")


def _revoke_question(org: Org, invitation: Invitation) -> Question:
    return Question(
        title=f"Revoke the invitation of {invitation.email}",
        lead="Its link ends. They are not told; you can invite them again.",
        action=url_for("invitations.revoke", org=org.slug, invitation=invitation.id),
        button="Revoke it",
        back=(url_for("orgs.member_list", org=org.slug), "Members"),
    )


def _changeable(
    actor: Actor, org: str, invitation: str, *, for_update: bool = False
) -> tuple[Org, Invitation]:
    """An invitation whose role is in the actor's gift."""
    needs = Permission.MANAGE_MEMBERS
    found = get_org(session(), actor, org, needs=needs, for_update=for_update)
    row = get_invitation(session(), found, invitation, for_update=for_update)
    must_reach(role_of(session(), actor, found.id), row.role)
    return found, row


def _to_members(org: Org, message: str) -> Response:
    return responses.done(url_for("orgs.member_list", org=org.slug), message=message)
