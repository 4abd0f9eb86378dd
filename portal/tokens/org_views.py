"""The tokens of an organisation: they act with a role of their own, and go on when whoever made them leaves."""

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import Invalid
from portal.orgs.models import Org, Role
from portal.orgs.policy import Permission
from portal.orgs.queries import get_org
from portal.tokens import commands, queries
from portal.tokens.forms import IssueOrgTokenForm, RevokeTokenForm
from portal.web import responses
from portal.web.session import session, settings

bp = Blueprint("org_tokens", __name__, url_prefix="/orgs/<org>/tokens")


@bp.get("")
def tokens(org: str) -> Response:
    found = _org(org)
    rows = queries.list_tokens_of_org(session(), found.id)
    return responses.page("tokens/org_index.html", org=found, tokens=rows, now=clock.now())


@bp.get("/new")
def new_token(org: str) -> Response:
    found = _org(org)
    form = IssueOrgTokenForm.fresh()
    return responses.page("tokens/org_new.html", org=found, form=form, action=_list_of(found))


@bp.post("")
def issue_token(org: str) -> Response:
    form, actor = IssueOrgTokenForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            found = _org(org, for_update=True)
            if not form.validate():
                return _again(form, found)
            issued = commands.issue_org_token(
                session(),
                actor=actor,
                org=found,
                role=Role(form.role.data),
                brand=settings().brand,
                request=form.asked(),
            )
    except Invalid as error:
        form.refuse(error.public, field=error.field)
        return _again(form, _org(org))
    return responses.secret(
        "tokens/org_issued.html",
        fragment="tokens/_issued.html",
        org=found,
        issued=issued,
        portal_url=settings().url,
        back=_list_of(found),
    )


@bp.get("/<token>/revoke")
def confirm_revoke(org: str, token: str) -> Response:
    found = _org(org)
    row = queries.get_token_of_org(session(), found, token)
    return responses.page(
        "tokens/org_revoke.html",
        fragment="tokens/_revoke_question.html",
        org=found,
        token=row,
        form=RevokeTokenForm(),
        action=url_for(".revoke_token", org=found.slug, token=row.id),
        back=_list_of(found),
    )


@bp.post("/<token>/revoke")
def revoke_token(org: str, token: str) -> Response:
    with transaction(session()):
        found = _org(org)
        row = queries.get_token_of_org(session(), found, token, for_update=True)
        commands.revoke_org_token(session(), actor=current_actor(), org=found, token=row)
    return responses.done(_list_of(found), message=f"“{row.name}” is revoked.")


def _again(form: IssueOrgTokenForm, org: Org) -> Response:
    return responses.invalid(
        "tokens/org_new.html",
        fragment="tokens/_new_form.html",
        org=org,
        form=form,
        action=_list_of(org),
    )


def _org(slug: str, *, for_update: bool = False) -> Org:
    needs = Permission.MANAGE_TOKENS
    return get_org(session(), current_actor(), slug, needs=needs, for_update=for_update)


def _list_of(org: Org) -> str:
    return url_for("org_tokens.tokens", org=org.slug)
