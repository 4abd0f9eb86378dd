"""Grants to an organisation: given, and ended early."""

from typing import Any

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor, require_admin
from portal.admin.forms import GrantForm, ReasonForm
from portal.admin.grant_choices import GrantPage, get_grant_page
from portal.core.db import transaction
from portal.core.errors import Invalid
from portal.orgs.models import Org
from portal.orgs.queries import get_org_as_admin
from portal.tiers.errors import WithoutEffect
from portal.tiers.grants import end_grant as end
from portal.tiers.grants import grant
from portal.tiers.models import Grant
from portal.tiers.queries import get_grant
from portal.tiers.shown import show_grant
from portal.web import filters, responses
from portal.web.session import session

bp = Blueprint("admin_grants", __name__, url_prefix="/admin/orgs/<org>/grants")
bp.before_request(require_admin)


@bp.get("/new")
def new_grant(org: str) -> Response:
    page, form = get_grant_page(session(), current_actor(), org), GrantForm()
    form.offer(page.choices)
    return responses.page("admin/grant.html", page=page, form=form, asks_anyway=False)


@bp.post("")
def give_grant(org: str) -> Response:
    form, actor = GrantForm(), current_actor()
    page: GrantPage | None = None
    try:
        with transaction(session()):
            found = get_org_as_admin(session(), actor, org, for_update=True)
            page = get_grant_page(session(), actor, org)
            form.offer(page.choices)
            if not form.validate():
                return _again(page, form)
            given = grant(session(), actor=actor, org=found, request=form.request(page.limits))
    except Invalid as error:
        if page is None:
            raise
        form.refuse(error.public, field=error.field)
        return _again(page, form, asks_anyway=isinstance(error, WithoutEffect))
    said = f"{found.name} has the grant until {filters.instant(given.ends_at)}."
    return responses.done(_page_of(found), message=said)


def _again(page: GrantPage, form: GrantForm, *, asks_anyway: bool = False) -> Response:
    return responses.invalid(
        "admin/grant.html",
        fragment="admin/_grant_form.html",
        page=page,
        form=form,
        asks_anyway=asks_anyway or bool(form.anyway.data),
    )


@bp.get("/<grant>/end")
def confirm_end(org: str, grant: str) -> Response:
    found = get_org_as_admin(session(), current_actor(), org)
    return responses.page(
        "admin/end_grant.html",
        fragment="admin/_end_grant_question.html",
        **_question(found, get_grant(session(), found, grant_id=grant), ReasonForm()),
    )


@bp.post("/<grant>/end")
def end_grant(org: str, grant: str) -> Response:
    form, actor = ReasonForm(), current_actor()
    with transaction(session()):
        found = get_org_as_admin(session(), actor, org, for_update=True)
        row = get_grant(session(), found, grant_id=grant, for_update=True)
        if not form.validate():
            # The form alone: the question around it, page or dialog, stands already.
            return responses.invalid(
                "admin/end_grant.html",
                fragment="admin/_end_grant_form.html",
                **_question(found, row, form),
            )
        end(session(), actor=actor, org=found, row=row, reason=form.reason.data or "")
    return responses.done(_page_of(found), message=f"The grant of {found.name} is ended.")


def _question(org: Org, row: Grant, form: ReasonForm) -> dict[str, Any]:
    return {"org": org, "grant": show_grant(session(), org, row), "form": form}


def _page_of(org: Org) -> str:
    return url_for("admin.org", org=org.slug)
