"""What the staff does with a published change: withdraw, reschedule, hold, release, amend."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor, require_admin
from portal.admin.change_forms import (
    AmendForm,
    HoldForm,
    ReleaseForm,
    RescheduleForm,
    WithdrawForm,
)
from portal.admin.change_queries import get_held, get_published, list_followers
from portal.changelog import commands, holds
from portal.changelog.change_page import get_reason
from portal.changelog.errors import WordsLost
from portal.changelog.models import STAFF_HOLD
from portal.core.actor import Actor
from portal.core.errors import Conflict, Invalid
from portal.transparency.signer import log_transaction
from portal.web import responses
from portal.web.filters import instant
from portal.web.forms import BaseForm
from portal.web.session import session, sessions, settings

bp = Blueprint("change_acts", __name__, url_prefix="/admin/changes/<int:number>")
bp.before_request(require_admin)


@dataclass(frozen=True)
class Question:
    """What is asked before an act: what will happen, and the form that says yes to it."""

    form: BaseForm
    action: str
    title: str
    lead: str
    button: str
    is_final: bool = False
    also: tuple[str, ...] = ()
    back: str = "/admin/changes"


@bp.get("/withdraw")
def confirm_withdraw(number: int) -> Response:
    return _ask(_withdraw_question(number, WithdrawForm()))


@bp.post("/withdraw")
def withdraw(number: int) -> Response:
    form = WithdrawForm()

    def act(actor: Actor) -> None:
        reason = form.reason.data
        commands.withdraw_change(session(), actor=actor, number=number, reason=reason)

    return _do(number, form, _withdraw_question, act=act, said="is withdrawn")


@bp.get("/reschedule")
def confirm_reschedule(number: int) -> Response:
    return _ask(_reschedule_question(number, RescheduleForm()))


@bp.post("/reschedule")
def reschedule(number: int) -> Response:
    form = RescheduleForm().offer(get_published(session(), number))

    def act(actor: Actor) -> None:
        times = {
            "effective_at": _seconds(form.effective_at.data),
            "expires_at": _seconds(form.expires_at.data) if "expires_at" in form else None,
        }
        commands.reschedule_change(session(), actor=actor, number=number, **times)

    return _do(number, form, _reschedule_question, act=act, said="is rescheduled")


@bp.get("/hold")
def confirm_hold(number: int) -> Response:
    return _ask(_hold_question(number, HoldForm()))


@bp.post("/hold")
def hold(number: int) -> Response:
    form = HoldForm()

    def act(actor: Actor) -> None:
        values = {"name": STAFF_HOLD, "reason": form.reason.data}
        holds.hold_change(session(), actor=actor, number=number, **values)

    return _do(number, form, _hold_question, act=act, said="is held")


@bp.get("/release")
def confirm_release(number: int) -> Response:
    return _ask(_release_question(number, ReleaseForm()))


@bp.post("/release")
def release(number: int) -> Response:
    form = ReleaseForm().offer(get_held(session(), number).holds)

    def act(actor: Actor) -> None:
        holds.release_change(
            session(),
            actor=actor,
            number=number,
            name=form.name.data,
            effective_at=_seconds(form.effective_at.data),
        )

    return _do(number, form, _release_question, act=act, said="is released from this hold")


@bp.get("/amend")
def confirm_amend(number: int) -> Response:
    title = get_published(session(), number).title
    return _ask(_amend_question(number, AmendForm(data={"title": title, "reason": _words(number)})))


@bp.post("/amend")
def amend(number: int) -> Response:
    form = AmendForm()

    def act(actor: Actor) -> None:
        values = {"title": form.title.data, "reason": form.reason.data}
        commands.amend_change(session(), actor=actor, number=number, **values)

    return _do(number, form, _amend_question, act=act, said="has other words")


# ---- what they share ----

_Ask = Callable[[int, BaseForm], Question]


def _ask(question: Question) -> Response:
    return responses.page("admin/change_act.html", fragment="admin/_change_act.html", ask=question)


def _do(
    number: int, form: BaseForm, question: _Ask, *, act: Callable[[Actor], None], said: str
) -> Response:
    actor = current_actor()
    get_published(session(), number)
    if not form.validate():
        return _again(question(number, form))
    try:
        with log_transaction(session(), sessions(), settings=settings(), actor=actor):
            act(actor)
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return _again(question(number, form))
    return responses.done(url_for("changes.changes"), message=f"Change {number} {said}.")


def _again(question: Question) -> Response:
    return responses.invalid(
        "admin/change_act.html", fragment="admin/_change_act.html", ask=question
    )


def _withdraw_question(number: int, form: BaseForm) -> Question:
    change = get_published(session(), number)
    return Question(
        form=form,
        action=url_for("change_acts.withdraw", number=number),
        title=f"Withdraw change {number}",
        lead=f"“{change.title}” never takes effect; an emergency cut in force ends now. It stays"
        " readable, with your reason, and this cannot be undone.",
        button="Withdraw it",
        is_final=True,
        also=_also(number),
    )


def _reschedule_question(number: int, form: BaseForm) -> Question:
    change = get_published(session(), number)
    if isinstance(form, RescheduleForm):
        form.offer(change)
    return Question(
        form=form,
        action=url_for("change_acts.reschedule", number=number),
        title=f"Reschedule change {number}",
        lead=f"“{change.title}” is announced for {instant(change.effective_at)}. An earlier"
        " tightening needs the full notice anew.",
        button="Reschedule it",
    )


def _hold_question(number: int, form: BaseForm) -> Question:
    change = get_published(session(), number)
    return Question(
        form=form,
        action=url_for("change_acts.hold", number=number),
        title=f"Hold change {number}",
        lead=f"“{change.title}” takes no effect until it is released. A tightening then waits at"
        " least as long as its notice still had to run.",
        button="Hold it",
        also=_also(number),
    )


def _release_question(number: int, form: BaseForm) -> Question:
    held = get_held(session(), number)
    if isinstance(form, ReleaseForm):
        form.offer(held.holds)
    return Question(
        form=form,
        action=url_for("change_acts.release", number=number),
        title=f"Release change {number}",
        lead=f"“{held.change.title}” was announced for {instant(held.change.effective_at)}. It is"
        " released in the log when the last of its holds is lifted.",
        button="Release it",
    )


def _amend_question(number: int, form: BaseForm) -> Question:
    change = get_published(session(), number)
    return Question(
        form=form,
        action=url_for("change_acts.amend", number=number),
        title=f"Amend change {number}",
        lead=f"Version {len(change.wordings) + 1} of its words. What it does stays as it is, and the"
        " earlier versions stay readable.",
        button="Publish these words",
    )


def _also(number: int) -> tuple[str, ...]:
    found = list_followers(session(), get_published(session(), number))
    return tuple(f"Change {change.number}: {change.title}" for change in found)


def _words(number: int) -> str:
    try:
        return get_reason(session(), number)
    except WordsLost:
        return ""


def _seconds(value: datetime | None) -> int | None:
    return None if value is None else int(value.timestamp())
