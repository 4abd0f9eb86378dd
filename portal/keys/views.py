from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.keys import commands, queries
from portal.keys.forms import IssueKeyForm, RevokeKeyForm
from portal.keys.models import ApiKey
from portal.orgs.policy import Permission, may
from portal.orgs.queries import get_org, is_confirmed, role_of
from portal.web import responses
from portal.web.session import session, settings

bp = Blueprint("keys", __name__, url_prefix="/orgs/<org>/keys")


@bp.get("")
def keys(org: str) -> Response:
    actor = current_actor()
    found = get_org(session(), actor, org, needs=Permission.SEE_KEYS)
    return responses.page(
        "keys/index.html",
        fragment="keys/_key_table.html",
        org=found,
        may_issue=may(role_of(session(), actor, found.id), Permission.ISSUE_KEY),
        is_confirmed=is_confirmed(session(), found.id),
        keys=queries.list_keys(session(), found),
        allowance=queries.get_allowance(session(), found),
    )


@bp.get("/new")
def new_key(org: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.ISSUE_KEY)
    form = IssueKeyForm().offer(queries.get_allowance(session(), found).models)
    return responses.page("keys/new.html", org=found, form=form)


@bp.post("")
def issue_key(org: str) -> Response:
    form, actor = IssueKeyForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            found = get_org(session(), actor, org, needs=Permission.ISSUE_KEY, for_update=True)
            allowance = queries.get_allowance(session(), found)
            if not form.offer(allowance.models).validate():
                return _new_key_again(form, org)
            issued = commands.issue_key(
                session(), actor=actor, org=found, brand=settings().brand, request=form.asked()
            )
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return _new_key_again(form, org)
    return responses.secret(
        "keys/issued.html",
        fragment="keys/_issued.html",
        org=found,
        issued=issued,
        model=_first_model(issued.key, allowance),
        api_url=settings().api_url,
    )


@bp.get("/<key>/revoke")
def confirm_revoke(org: str, key: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.REVOKE_KEY)
    row = queries.get_key(session(), found, key_id=key)
    return responses.page(
        "keys/revoke.html",
        fragment="keys/_revoke_question.html",
        org=found,
        key=row,
        form=RevokeKeyForm(),
    )


@bp.post("/<key>/revoke")
def revoke_key(org: str, key: str) -> Response:
    form, actor = RevokeKeyForm(), current_actor()
    with transaction(session()):
        found = get_org(session(), actor, org, needs=Permission.REVOKE_KEY)
        row = queries.get_key(session(), found, key_id=key, for_update=True)
        if not form.validate():
            return responses.invalid(
                "keys/revoke.html", fragment="keys/_revoke_form.html", org=found, key=row, form=form
            )
        commands.revoke_key(session(), actor=actor, key=row, reason=form.reason.data)
    to = url_for("key_page.key", org=found.slug, key=row.id)
    return responses.done(to, message=f"“{row.name}” is revoked.")


def _new_key_again(form: IssueKeyForm, org: str) -> Response:
    # Read afresh: where a command refused, what was loaded before went with its transaction.
    found = get_org(session(), current_actor(), org, needs=Permission.ISSUE_KEY)
    return responses.invalid(
        "keys/new.html", fragment="keys/_new_key_form.html", form=form, org=found
    )


def _first_model(key: ApiKey, allowance: queries.Allowance) -> str:
    """A model for the first call: one that the key may use."""
    return next(iter(key.models or allowance.models), "")
