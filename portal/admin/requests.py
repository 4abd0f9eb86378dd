"""The queue of upgrade requests: taken up, asked about, approved, declined."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, url_for
from flask import request as sent

from portal.accounts.login import current_actor, require_admin
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.tiers.errors import MovedMeanwhile
from portal.upgrades import commands, policy
from portal.upgrades.errors import RequestMoved
from portal.upgrades.forms import AskForm, DecisionForm, SeenForm
from portal.upgrades.queries import get_request_as_admin
from portal.upgrades.queue import StaffPage, get_queue, get_staff_page
from portal.web import responses
from portal.web.session import session, settings

bp = Blueprint("admin_requests", __name__, url_prefix="/admin/requests")
bp.before_request(require_admin)


@dataclass(frozen=True)
class Question:
    """What is asked before an act: what will happen, and the form that says yes to it."""

    form: SeenForm
    page: StaffPage
    action: str
    title: str
    lead: str
    button: str
    is_final: bool = False

    @property
    def back(self) -> str:
        return url_for("admin_requests.request", request=self.page.request.id)


@bp.get("")
def requests() -> Response:
    return responses.page("admin/requests.html", queue=get_queue(session()), target=policy.TARGET)


@bp.get("/<request>")
def request(request: str) -> Response:
    page = get_staff_page(session(), current_actor(), request)
    return responses.page("admin/request.html", page=page, target=policy.TARGET)


@bp.post("/<request>/take-up")
def take_up(request: str) -> Response:
    form = SeenForm()
    return _do(request, form, _take_up_question, command=commands.take_up, said="is in review.")


@bp.get("/<request>/take-up")
def confirm_take_up(request: str) -> Response:
    return _ask(_take_up_question(request, SeenForm()))


@bp.get("/<request>/ask")
def confirm_ask(request: str) -> Response:
    return _ask(_ask_question(request, AskForm()))


@bp.post("/<request>/ask")
def ask(request: str) -> Response:
    form = AskForm()
    values = {"text": form.text.data, "url": settings().url}
    said = "waits for the answer to your question."
    return _do(
        request, form, _ask_question, command=commands.ask_question, said=said, values=values
    )


@bp.get("/<request>/approve")
def confirm_approve(request: str) -> Response:
    return _ask(_approve_question(request, DecisionForm()))


@bp.post("/<request>/approve")
def approve(request: str) -> Response:
    form = DecisionForm()
    values = {"reason": form.reason.data, "stood": form.stood, "url": settings().url}
    said = "is approved. The organisation is on the tier now."
    return _do(request, form, _approve_question, command=commands.approve, said=said, values=values)


@bp.get("/<request>/decline")
def confirm_decline(request: str) -> Response:
    return _ask(_decline_question(request, DecisionForm()))


@bp.post("/<request>/decline")
def decline(request: str) -> Response:
    form = DecisionForm()
    values = {"reason": form.reason.data, "url": settings().url}
    said = "is declined. The organisation reads why."
    return _do(request, form, _decline_question, command=commands.decline, said=said, values=values)


# ---- what they share ----

_Ask = Callable[[str, SeenForm], Question]


def _ask(question: Question) -> Response:
    # The decision is made on the page that led here: what came since then was not seen there.
    question.form.seen.data = sent.args.get("seen") or question.page.seen
    return responses.page(
        "admin/request_act.html", fragment="admin/_request_question.html", ask=question
    )


def _do(
    request: str,
    form: SeenForm,
    question: _Ask,
    *,
    command: Callable[..., None],
    said: str,
    values: dict[str, Any] | None = None,
) -> Response:
    actor = current_actor()
    try:
        with transaction(session()):
            org, row = get_request_as_admin(session(), actor, request, for_update=True)
            if not form.validate():
                return _again(question(request, form))
            command(session(), actor=actor, org=org, request=row, seen=form.steps, **(values or {}))
    except (RequestMoved, MovedMeanwhile):
        raise
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field="reason")
        return _again(question(request, form))
    to = url_for("admin_requests.request", request=row.id)
    return responses.done(to, message=f"The request of {org.name} {said}")


def _again(question: Question) -> Response:
    return responses.invalid(
        "admin/request_act.html", fragment="admin/_request_form.html", ask=question
    )


def _take_up_question(request: str, form: SeenForm) -> Question:
    page = get_staff_page(session(), current_actor(), request)
    return Question(
        form=form,
        page=page,
        action=url_for("admin_requests.take_up", request=request),
        title=f"Take up the request of {page.org.name}",
        lead="The organisation sees that it is in review.",
        button="Take it up",
    )


def _ask_question(request: str, form: SeenForm) -> Question:
    page = get_staff_page(session(), current_actor(), request)
    return Question(
        form=form,
        page=page,
        action=url_for("admin_requests.ask", request=request),
        title=f"Ask {page.org.name}",
        lead=f"Its request for {page.request.tier} waits for the answer; the target goes on running.",
        button="Send the question",
    )


def _approve_question(request: str, form: SeenForm) -> Question:
    page = get_staff_page(session(), current_actor(), request)
    return Question(
        form=form,
        page=page,
        action=url_for("admin_requests.approve", request=request),
        title=f"Approve the request of {page.org.name}",
        lead=f"{page.org.name} moves from {page.held} to {page.request.tier} at once, at every gateway.",
        button="Approve it",
    )


def _decline_question(request: str, form: SeenForm) -> Question:
    page = get_staff_page(session(), current_actor(), request)
    return Question(
        form=form,
        page=page,
        action=url_for("admin_requests.decline", request=request),
        title=f"Decline the request of {page.org.name}",
        lead=f"{page.org.name} stays on {page.held}, and may send another request.",
        button="Decline it",
        is_final=True,
    )
