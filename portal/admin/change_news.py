"""The notice policy and plain announcements, as the staff writes them."""

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor, require_admin
from portal.admin.change_acts import Question
from portal.admin.change_forms import AnnouncementForm, EmptyForm, NoticeForm, notice_data
from portal.changelog import announcements, commands
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.tiers.queries import list_tiers
from portal.transparency.queries import signed_log
from portal.transparency.signer import log_transaction
from portal.web import responses
from portal.web.forms import BaseForm
from portal.web.session import session, sessions, settings

bp = Blueprint("change_news", __name__, url_prefix="/admin")
bp.before_request(require_admin)

PAGE, FRAGMENT = "admin/change_act.html", "admin/_change_act.html"


@bp.get("/changes/notice")
def notice() -> Response:
    form = NoticeForm(data=notice_data(_promised()))
    return responses.page(PAGE, fragment=FRAGMENT, ask=_notice_question(form))


@bp.post("/changes/notice")
def change_notice() -> Response:
    form, actor = NoticeForm(), current_actor()
    if not form.validate():
        return responses.invalid(PAGE, fragment=FRAGMENT, ask=_notice_question(form))
    start = form.effective_at.data
    asked = form.changed(_promised())
    try:
        with log_transaction(session(), sessions(), settings=settings(), actor=actor):
            commands.change_policy(
                session(),
                actor=actor,
                notice=asked,
                reason=form.reason.data,
                effective_at=None if start is None else int(start.timestamp()),
            )
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return responses.invalid(PAGE, fragment=FRAGMENT, ask=_notice_question(form))
    return responses.done(url_for("changes.changes"), message="The notice policy is published.")


@bp.get("/announcements/new")
def new_announcement() -> Response:
    ask = _announcement_question(AnnouncementForm())
    return responses.page(PAGE, fragment=FRAGMENT, ask=ask)


@bp.post("/announcements/new")
def publish_announcement() -> Response:
    form, actor = AnnouncementForm(), current_actor()
    ask = _announcement_question(form)
    if not form.validate():
        return responses.invalid(PAGE, fragment=FRAGMENT, ask=ask)
    try:
        with transaction(session()):
            news = announcements.publish_announcement(
                session(),
                actor=actor,
                title=form.title.data,
                text=form.text.data,
                tiers=form.tiers.data or (),
            )
    except Invalid as error:
        form.refuse(error.public, field=error.field)
        return responses.invalid(PAGE, fragment=FRAGMENT, ask=ask)
    return responses.done(url_for("changes.changes"), message=f"“{news.title}” is published.")


@bp.get("/announcements/<announcement>/withdraw")
def confirm_withdraw_announcement(announcement: str) -> Response:
    ask = _withdraw_question(announcement, EmptyForm())
    return responses.page(PAGE, fragment=FRAGMENT, ask=ask)


@bp.post("/announcements/<announcement>/withdraw")
def withdraw_announcement(announcement: str) -> Response:
    form, actor = EmptyForm(), current_actor()
    ask = _withdraw_question(announcement, form)
    if not form.validate():
        return responses.invalid(PAGE, fragment=FRAGMENT, ask=ask)
    try:
        with transaction(session()):
            announcements.withdraw_announcement(
                session(), actor=actor, announcement_id=announcement
            )
    except Conflict as error:
        form.refuse(error.public)
        return responses.invalid(PAGE, fragment=FRAGMENT, ask=ask)
    return responses.done(url_for("changes.changes"), message="The announcement is withdrawn.")


def _promised() -> dict[str, int]:
    return dict(signed_log(session()).history.notice_at(clock.timestamp()))


def _notice_question(form: BaseForm) -> Question:
    return Question(
        form=form,
        action=url_for("change_news.change_notice"),
        title="Change the notice policy",
        lead="What is promised before limits get tighter. It stands in the public log; a weaker"
        " promise takes effect only after the notice that is promised now.",
        button="Publish the policy",
        is_final=True,
    )


def _announcement_question(form: AnnouncementForm) -> Question:
    return Question(
        form=form.offer(list_tiers(session())),
        action=url_for("change_news.publish_announcement"),
        title="New announcement",
        lead="News without limits: no number and no entry in the log, but in the changelog, the feeds"
        " and the mails.",
        button="Publish it",
    )


def _withdraw_question(announcement: str, form: BaseForm) -> Question:
    news = announcements.get_announcement(session(), announcement)
    return Question(
        form=form,
        action=url_for("change_news.withdraw_announcement", announcement=announcement),
        title=f"Withdraw “{news.title}”",
        lead="It stays readable at its address, marked as withdrawn. This cannot be undone.",
        button="Withdraw it",
        is_final=True,
    )
