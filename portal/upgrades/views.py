from collections.abc import Callable

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.orgs.models import Org
from portal.orgs.policy import Permission, may
from portal.orgs.queries import get_org, role_of
from portal.upgrades import commands, policy
from portal.upgrades.errors import RequestMoved
from portal.upgrades.forms import AnswerForm, RequestForm, WithdrawForm, request_form
from portal.upgrades.queries import (
    checklist,
    find_open_request,
    get_request,
    get_requestable,
    list_lines,
)
from portal.upgrades.shown import get_tier_page, get_upgrades_page, show_request
from portal.web import responses
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("upgrades", __name__)


@bp.get("/upgrades")
@public
def upgrades() -> Response:
    return responses.page("upgrades/upgrades.html", page=get_upgrades_page(session()))


@bp.get("/orgs/<org>/tier")
def tier(org: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.SEE_ORG)
    page = get_tier_page(session(), current_actor(), found)
    return responses.page("upgrades/tier.html", page=page, target=policy.TARGET)


@bp.get("/orgs/<org>/tier/<tier>/request")
def new_request(org: str, tier: str) -> Response:
    actor = current_actor()
    found = get_org(session(), actor, org, needs=Permission.REQUEST_UPGRADE)
    wanted = get_requestable(session(), found, tier)
    sent = find_open_request(session(), found, tier=tier)
    if sent is not None:
        return responses.done(url_for("upgrades.request", org=found.slug, request=sent.id))
    form = request_form(list_lines(session(), found, wanted), data={"contact": actor.name})
    return _new_request(responses.page, found, tier, form=form)


@bp.post("/orgs/<org>/tier/<tier>/request")
def submit_request(org: str, tier: str) -> Response:
    actor = current_actor()
    form: RequestForm | None = None
    try:
        with transaction(session()):
            found = get_org(
                session(), actor, org, needs=Permission.REQUEST_UPGRADE, for_update=True
            )
            wanted = get_requestable(session(), found, tier)
            form = request_form(list_lines(session(), found, wanted))
            if not form.validate():
                return _new_request(responses.invalid, found, tier, form=form)
            sent = commands.submit_request(
                session(), actor=actor, org=found, asked=form.asked(tier), url=settings().url
            )
    except (Invalid, Conflict) as error:
        if form is None:
            raise
        form.refuse(error.public, field=getattr(error, "field", None))
        found = get_org(session(), actor, org, needs=Permission.REQUEST_UPGRADE)
        return _new_request(responses.invalid, found, tier, form=form)
    to = url_for("upgrades.request", org=found.slug, request=sent.id)
    return responses.done(to, message=f"Your request for {wanted.name} is sent.")


def _new_request(
    answer: Callable[..., Response], org: Org, tier: str, *, form: RequestForm
) -> Response:
    wanted = get_requestable(session(), org, tier)
    return answer(
        "upgrades/new_request.html",
        fragment="upgrades/_new_request_form.html",
        org=org,
        tier=wanted,
        checklist=checklist(session(), org, wanted),
        target=policy.TARGET,
        form=form,
    )


@bp.get("/orgs/<org>/requests/<request>")
def request(org: str, request: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.SEE_ORG)
    return _request(responses.page, found, request, form=AnswerForm())


@bp.post("/orgs/<org>/requests/<request>/answer")
def answer(org: str, request: str) -> Response:
    form, actor = AnswerForm(), current_actor()
    try:
        with transaction(session()):
            found = get_org(
                session(), actor, org, needs=Permission.REQUEST_UPGRADE, for_update=True
            )
            row = get_request(session(), found, request_id=request, for_update=True)
            if not form.validate():
                return _request(responses.invalid, found, request, form=form)
            commands.answer(
                session(),
                actor=actor,
                org=found,
                request=row,
                seen=form.steps,
                text=form.text.data or "",
                url=settings().url,
            )
    except RequestMoved as error:
        return _next_question(org, request, form=form, error=error)
    to = url_for("upgrades.request", org=found.slug, request=row.id)
    return responses.done(to, message="Your answer is sent.")


def _next_question(org: str, request: str, *, form: AnswerForm, error: RequestMoved) -> Response:
    """Another question took the place of the one that was answered: it is shown beside what was typed."""
    found = get_org(session(), current_actor(), org, needs=Permission.REQUEST_UPGRADE)
    row = get_request(session(), found, request_id=request)
    if not policy.may(policy.Act.ANSWER, row.state):
        raise error
    form.refuse(error.public)
    form.seen.data = None  # what is shown now is what is answered next
    return _request(responses.invalid, found, request, form=form)


def _request(
    answer: Callable[..., Response], org: Org, request: str, *, form: AnswerForm
) -> Response:
    row = get_request(session(), org, request_id=request)
    role = role_of(session(), current_actor(), org.id)
    form.seen.data = form.seen.data or str(row.steps)
    return answer(
        "upgrades/request.html",
        fragment="upgrades/_answer_form.html",
        org=org,
        asked=show_request(session(), row, to_staff=False),
        may_act=may(role, Permission.REQUEST_UPGRADE),
        target=policy.TARGET,
        form=form,
    )


@bp.get("/orgs/<org>/requests/<request>/withdraw")
def confirm_withdraw(org: str, request: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.REQUEST_UPGRADE)
    row = get_request(session(), found, request_id=request)
    return responses.page(
        "upgrades/withdraw.html",
        fragment="upgrades/_withdraw_question.html",
        org=found,
        asked=show_request(session(), row, to_staff=False),
        form=WithdrawForm(),
    )


@bp.post("/orgs/<org>/requests/<request>/withdraw")
def withdraw(org: str, request: str) -> Response:
    form, actor = WithdrawForm(), current_actor()
    with transaction(session()):
        found = get_org(session(), actor, org, needs=Permission.REQUEST_UPGRADE, for_update=True)
        row = get_request(session(), found, request_id=request, for_update=True)
        if not form.validate():
            # The form alone: the question around it, page or dialog, stands already.
            return responses.invalid(
                "upgrades/withdraw.html",
                fragment="upgrades/_withdraw_form.html",
                org=found,
                asked=show_request(session(), row, to_staff=False),
                form=form,
            )
        commands.withdraw(
            session(),
            actor=actor,
            org=found,
            request=row,
            reason=form.reason.data or "",
            url=settings().url,
        )
    to = url_for("upgrades.tier", org=found.slug)
    return responses.done(to, message="Your request is withdrawn.")
