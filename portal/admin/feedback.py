"""The board as the staff work on it: acknowledged, looked into, answered, decided, delivered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor, require_admin
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.feedback import decisions
from portal.feedback.official import answer_officially
from portal.feedback.queries import get_thread
from portal.feedback.staff_forms import AnswerForm, DecisionForm, StepForm
from portal.feedback.staff_queue import StaffThread, get_queue, get_staff_thread
from portal.transparency.signer import log_transaction
from portal.web import responses
from portal.web.forms import BaseForm
from portal.web.session import session, sessions, settings

bp = Blueprint("admin_feedback", __name__, url_prefix="/admin/feedback")
bp.before_request(require_admin)

NUMBER = "<int(max=999999999):number>"


@dataclass(frozen=True)
class Question:
    """What is asked before an act: what will happen, and the form that says yes to it."""

    form: BaseForm
    page: StaffThread
    act: str
    title: str
    lead: str
    button: str

    @property
    def action(self) -> str:
        return url_for(f"admin_feedback.{self.act}", number=self.page.thread.number)

    @property
    def back(self) -> str:
        return url_for("admin_feedback.thread", number=self.page.thread.number)


@bp.get("")
def queue() -> Response:
    return responses.page("admin/feedback.html", queue=get_queue(session()))


@bp.get(f"/{NUMBER}")
def thread(number: int) -> Response:
    page = get_staff_thread(session(), current_actor(), number)
    threshold = settings().attention_threshold
    return responses.page("admin/feedback_thread.html", page=page, threshold=threshold)


@bp.get(f"/{NUMBER}/acknowledge")
def confirm_acknowledge(number: int) -> Response:
    return _ask(_acknowledge_question(number, StepForm()))


@bp.post(f"/{NUMBER}/acknowledge")
def acknowledge(number: int) -> Response:
    question = _acknowledge_question(number, StepForm())
    return _step(question, decisions.acknowledge, said="The thread is acknowledged.")


@bp.get(f"/{NUMBER}/review")
def confirm_review(number: int) -> Response:
    return _ask(_review_question(number, StepForm()))


@bp.post(f"/{NUMBER}/review")
def start_review(number: int) -> Response:
    question = _review_question(number, StepForm())
    return _step(question, decisions.start_review, said="The thread is under review.")


@bp.get(f"/{NUMBER}/deliver")
def confirm_deliver(number: int) -> Response:
    return _ask(_deliver_question(number, StepForm()))


@bp.post(f"/{NUMBER}/deliver")
def deliver(number: int) -> Response:
    question = _deliver_question(number, StepForm())
    return _step(question, decisions.deliver, said="The thread is delivered.")


@bp.get(f"/{NUMBER}/answer")
def confirm_answer(number: int) -> Response:
    return _ask(_answer_question(number, AnswerForm()))


@bp.post(f"/{NUMBER}/answer")
def answer(number: int) -> Response:
    form = AnswerForm()
    question = _answer_question(number, form)
    if not form.validate():
        return _again(question)
    actor = current_actor()
    try:
        with transaction(session()):
            found = get_thread(session(), actor, number, for_update=True)
            answer_officially(session(), actor=actor, thread=found, text=form.text.data)
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field="text")
        return _again(_answer_question(number, form))
    return responses.done(question.back, message="Your answer is pinned to the top.")


@bp.get(f"/{NUMBER}/decide")
def confirm_decide(number: int) -> Response:
    return _ask(_decide_question(number, DecisionForm()))


@bp.post(f"/{NUMBER}/decide")
def decide(number: int) -> Response:
    form = DecisionForm()
    question = _decide_question(number, form)
    if not form.validate():
        return _again(question)
    actor, asked = current_actor(), form.asked
    try:
        with log_transaction(session(), sessions(), settings=settings(), actor=actor):
            found = get_thread(session(), actor, number, for_update=True)
            seen = form.seen.data or ""
            decisions.decide(session(), actor=actor, thread=found, seen=seen, asked=asked)
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return _again(_decide_question(number, form))
    to = url_for("feedback.thread", number=number)
    return responses.done(to, message="The thread is decided. Everyone concerned is told.")


# ---- what they share ----


def _ask(question: Question) -> Response:
    if isinstance(question.form, StepForm):
        question.form.seen.data = question.page.seen
    return _answer(responses.page, question, fragment="admin/_feedback_question.html")


def _again(question: Question) -> Response:
    return _answer(responses.invalid, question, fragment="admin/_feedback_form.html")


def _answer(answer: Callable[..., Response], question: Question, *, fragment: str) -> Response:
    return answer("admin/feedback_act.html", fragment=fragment, ask=question)


def _step(question: Question, command: Callable[..., None], *, said: str) -> Response:
    form, actor, number = question.form, current_actor(), question.page.thread.number
    assert isinstance(form, StepForm)  # noqa: S101 -- each step's question holds one
    if not form.validate():
        return _again(question)
    with transaction(session()):
        found = get_thread(session(), actor, number, for_update=True)
        command(session(), actor=actor, thread=found, seen=form.seen.data or "")
    return responses.done(question.back, message=said)


def _question(number: int, form: BaseForm, **words: Any) -> Question:
    page = get_staff_thread(session(), current_actor(), number)
    return Question(form=form, page=page, **words)


def _acknowledge_question(number: int, form: BaseForm) -> Question:
    return _question(
        number,
        form,
        act="acknowledge",
        title=f"Acknowledge thread {number:,}",
        lead="Everyone sees that you have read it. What is asked for is not decided by that.",
        button="Acknowledge it",
    )


def _review_question(number: int, form: BaseForm) -> Question:
    return _question(
        number,
        form,
        act="start_review",
        title=f"Review thread {number:,}",
        lead="Everyone sees that you weigh it. The clock of its decision goes on running.",
        button="Start the review",
    )


def _deliver_question(number: int, form: BaseForm) -> Question:
    return _question(
        number,
        form,
        act="deliver",
        title=f"Thread {number:,} is delivered",
        lead="Everyone sees that what was decided is done.",
        button="It is delivered",
    )


def _answer_question(number: int, form: BaseForm) -> Question:
    return _question(
        number,
        form,
        act="answer",
        title=f"Answer thread {number:,} officially",
        lead="The answer stands at the top of the thread, marked as yours.",
        button="Answer",
    )


def _decide_question(number: int, form: BaseForm) -> Question:
    return _question(
        number,
        form,
        act="decide",
        title=f"Decide thread {number:,}",
        lead="The decision enters the public log at once, its text as a SHA-256,"
        " and everyone who voted, wrote or follows gets one message with the reason.",
        button="Decide",
    )
