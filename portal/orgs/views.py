from flask import Blueprint, Response, make_response, redirect, request, url_for

from portal.accounts.login import current_actor
from portal.core.actor import Actor
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.orgs import commands, members
from portal.orgs.asking import Question, ask, ask_again
from portal.orgs.errors import OrgMoved
from portal.orgs.forms import AskForm, NameForm, RoleForm, SlugForm
from portal.orgs.models import Org, Role
from portal.orgs.people import Member, get_member, get_members_page
from portal.orgs.policy import Permission, must_reach, roles_given_by
from portal.orgs.queries import get_org, role_of
from portal.orgs.words import permission_rows
from portal.web import responses, throttle
from portal.web.session import session, settings

bp = Blueprint("orgs", __name__, url_prefix="/orgs/<org>")


@bp.app_errorhandler(OrgMoved)
def lead_on(error: OrgMoved) -> Response:
    """From an old slug to the same page under the new one, with the form where there is one (EXACT 32)."""
    values = {**(request.view_args or {}), "org": error.slug}
    to = url_for(request.endpoint or "", **values)
    if request.query_string:
        to += f"?{request.query_string.decode()}"
    # Not for ever: the organisation may take its old slug back.
    response = make_response(redirect(to, error.status))
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.get("/members")
def member_list(org: str) -> Response:
    actor = current_actor()
    found = get_org(session(), actor, org, needs=Permission.SEE_ORG)
    return responses.page(
        "orgs/members.html",
        org=found,
        page=get_members_page(session(), actor, found),
        roles=[role.value.capitalize() for role in Role],
        permissions=permission_rows(),
    )


@bp.get("/members/<member>/role")
def ask_role(org: str, member: str) -> Response:
    found, row, roles = _changeable(current_actor(), org, member)
    form = RoleForm(role=row.role.value).offer(roles)
    return ask(_role_question(found, row), form)


@bp.post("/members/<member>/role")
def change_role(org: str, member: str) -> Response:
    form, actor = RoleForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            found, row, roles = _changeable(actor, org, member, for_update=True)
            if not form.offer(roles).validate():
                return ask_again(_role_question(found, row), form)
            role = Role(form.role.data)
            members.change_role(session(), actor=actor, org=found, member=row, role=role)
    except Conflict as error:
        form.refuse(error.public)
        found, row, _ = _changeable(actor, org, member)
        return ask_again(_role_question(found, row), form)
    # Who has just given away the right to see more is still a member.
    return _to_members(found, f"{row.user.email}: {role.value}, from now on.")


def _changeable(
    actor: Actor, org: str, member: str, *, for_update: bool = False
) -> tuple[Org, Member, tuple[Role, ...]]:
    """The organisation, a member whose role the actor may change, and the roles to choose from."""
    needs = Permission.MANAGE_MEMBERS
    found = get_org(session(), actor, org, needs=needs, for_update=for_update)
    row, mine = get_member(session(), found, member), role_of(session(), actor, found.id)
    must_reach(mine, row.role)
    return found, row, roles_given_by(mine)


def _role_question(org: Org, member: Member) -> Question:
    return Question(
        title=f"The role of {member.user.email}",
        lead=f"In {org.name}, from now on. They and the owners are told by mail.",
        action=url_for("orgs.change_role", org=org.slug, member=member.user.id),
        button="Change the role",
        back=_members_link(org),
        is_final=False,
    )


@bp.get("/members/<member>/hand-over")
def ask_hand_over(org: str, member: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.HAND_OVER)
    return ask(_hand_over_question(found, get_member(session(), found, member)), AskForm())


@bp.post("/members/<member>/hand-over")
def hand_over(org: str, member: str) -> Response:
    form, actor = AskForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            found = get_org(session(), actor, org, needs=Permission.HAND_OVER, for_update=True)
            row = get_member(session(), found, member)
            if not form.validate():
                return ask_again(_hand_over_question(found, row), form)
            members.hand_over(session(), actor=actor, org=found, member=row)
    except Conflict as error:
        form.refuse(error.public)
        found = get_org(session(), actor, org, needs=Permission.HAND_OVER)
        return ask_again(_hand_over_question(found, get_member(session(), found, member)), form)
    return _to_members(found, f"{found.name} belongs to {row.user.email} now. You are a manager.")


def _hand_over_question(org: Org, member: Member) -> Question:
    return Question(
        title=f"Hand {org.name} over to {member.user.email}",
        lead="They become an owner, and you a manager. Only an owner can make you one again.",
        action=url_for("orgs.hand_over", org=org.slug, member=member.user.id),
        button="Hand it over",
        back=_members_link(org),
    )


def _members_link(org: Org) -> tuple[str, str]:
    return url_for("orgs.member_list", org=org.slug), "Members"


def _to_members(org: Org, message: str) -> Response:
    return responses.done(url_for("orgs.member_list", org=org.slug), message=message)


@bp.get("/settings")
def org_settings(org: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.MANAGE_ORG)
    return _settings(found, NameForm(name=found.name), SlugForm(slug=found.slug))


@bp.post("/settings/name")
def rename_org(org: str) -> Response:
    form, actor = NameForm(), current_actor()
    with transaction(session()):
        found = get_org(session(), actor, org, needs=Permission.MANAGE_ORG, for_update=True)
        if not form.validate():
            return _settings(found, form, SlugForm(None, slug=found.slug), wrong="name")
        commands.rename_org(session(), actor=actor, org=found, name=form.name.data)
    return _to_settings(found, f"Your organisation is called {found.name}.")


@bp.post("/settings/address")
def move_org(org: str) -> Response:
    form, actor = SlugForm(), current_actor()
    found = get_org(session(), actor, org, needs=Permission.MANAGE_ORG)
    # Each slug that was theirs once is taken from everybody else, so that they get few.
    throttle.take("org_slug", found.id)
    try:
        with transaction(session()):
            found = get_org(session(), actor, org, needs=Permission.MANAGE_ORG, for_update=True)
            if not form.validate():
                return _settings(found, NameForm(None, name=found.name), form, wrong="slug")
            slug, url = form.slug.data, settings().url
            commands.move_org(session(), actor=actor, org=found, slug=slug, url=url)
    except Invalid as error:
        form.refuse(error.public, field=error.field)
        found = get_org(session(), actor, org, needs=Permission.MANAGE_ORG)
        return _settings(found, NameForm(None, name=found.name), form, wrong="slug")
    return _to_settings(found, f"The address is /orgs/{found.slug} now.")


def _settings(
    org: Org, name_form: NameForm, slug_form: SlugForm, *, wrong: str | None = None
) -> Response:
    answer = responses.invalid if wrong else responses.page
    return answer(
        "orgs/settings.html",
        fragment=f"orgs/_{wrong}_form.html" if wrong else None,
        org=org,
        name_form=name_form,
        slug_form=slug_form,
    )


def _to_settings(org: Org, message: str) -> Response:
    return responses.done(url_for("orgs.org_settings", org=org.slug), message=message)
