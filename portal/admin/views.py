from collections.abc import Callable

from flask import Blueprint, Response, request, url_for

from portal.accounts.login import current_actor, require_admin
from portal.admin import queries
from portal.admin.alerts import open_alerts
from portal.admin.asked import asked_for
from portal.admin.forms import ReasonForm
from portal.core.db import transaction
from portal.core.errors import Conflict
from portal.orgs.commands import lift_suspension, suspend_org
from portal.orgs.models import Org
from portal.orgs.queries import get_org_as_admin
from portal.transparency.queries import find_trouble
from portal.web import responses
from portal.web.session import session

bp = Blueprint("admin", __name__, url_prefix="/admin")
bp.before_request(require_admin)


@bp.get("/")
def start() -> Response:
    return responses.done(url_for("admin.orgs"))


@bp.get("/orgs")
def orgs() -> Response:
    asked = asked_for(request.args)
    return responses.page(
        "admin/orgs.html",
        fragment="admin/_org_list.html",
        orgs=queries.list_orgs(session(), asked),
        orgs_count=queries.count_orgs(session(), asked),
        tiers=queries.tier_names(session()),
        asked=asked,
        alerts=open_alerts(session()),
        trouble=find_trouble(session()),
    )


@bp.get("/orgs/<org>")
def org(org: str) -> Response:
    return responses.page(
        "admin/org.html",
        page=queries.get_org_page(session(), current_actor(), org),
        trouble=find_trouble(session()),
    )


@bp.get("/orgs/<org>/suspend")
def confirm_suspend(org: str) -> Response:
    return _question(org, "suspend")


@bp.post("/orgs/<org>/suspend")
def suspend(org: str) -> Response:
    return _act(org, "suspend", command=suspend_org, said="is suspended. Its keys are refused.")


@bp.get("/orgs/<org>/lift")
def confirm_lift(org: str) -> Response:
    return _question(org, "lift")


@bp.post("/orgs/<org>/lift")
def lift(org: str) -> Response:
    said = "is no longer suspended. Its keys work again."
    return _act(org, "lift", command=lift_suspension, said=said)


def _question(slug: str, act: str) -> Response:
    return responses.page(
        f"admin/{act}.html",
        fragment=f"admin/_{act}_question.html",
        org=get_org_as_admin(session(), current_actor(), slug),
        form=ReasonForm(),
    )


def _act(slug: str, act: str, *, command: Callable[..., None], said: str) -> Response:
    form, actor = ReasonForm(), current_actor()
    try:
        with transaction(session()):
            found = get_org_as_admin(session(), actor, slug, for_update=True)
            if not form.validate():
                return _act_again(act, org=found, form=form)
            command(session(), actor=actor, org=found, reason=form.reason.data)
    except Conflict as error:
        form.refuse(error.public)
        return _act_again(act, org=get_org_as_admin(session(), actor, slug), form=form)
    return responses.done(_page_of(found), message=f"{found.name} {said}")


def _act_again(act: str, *, org: Org, form: ReasonForm) -> Response:
    # The form alone: the question around it, page or dialog, stands already.
    return responses.invalid(
        f"admin/{act}.html", fragment=f"admin/_{act}_form.html", org=org, form=form
    )


def _page_of(org: Org) -> str:
    return url_for("admin.org", org=org.slug)
