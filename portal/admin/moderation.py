"""The moderation queue: what was reported, hidden with a reason, kept, shown again; spam locked; notes."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor, require_admin
from portal.admin.reported import get_queue, list_reports, post_and_thread
from portal.core.db import transaction
from portal.core.errors import Invalid
from portal.feedback import moderation
from portal.feedback.forms import ModerateForm, NoteForm
from portal.feedback.queries import get_thread
from portal.feedback.shown import PostShown, show_post
from portal.web import responses
from portal.web.session import session

bp = Blueprint("moderation", __name__, url_prefix="/admin/moderation")
bp.before_request(require_admin)

NUMBER = "<int(max=999999999):number>"


@dataclass(frozen=True)
class Question:
    """What is asked before an act."""

    title: str
    lead: str
    button: str
    action: str
    back: str
    form: ModerateForm
    post: PostShown | None = None


@bp.get("")
def queue() -> Response:
    return responses.page("admin/moderation.html", queue=get_queue(session()))


@bp.get("/posts/<post>/hide")
def confirm_hide(post: str) -> Response:
    return _ask(_hide_question(post, ModerateForm()))


@bp.post("/posts/<post>/hide")
def hide_post(post: str) -> Response:
    return _moderate(post, _hide_question, moderation.hide_post, said="The post is hidden.")


def _hide_question(post: str, form: ModerateForm) -> Question:
    return _about_post(
        post,
        form,
        title="Hide {}",
        lead="Only its author and our staff read it then, its author with your reason."
        " Hidden with the opening post is the whole thread, unless it is decided.",
        act="hide",
    )


@bp.get("/posts/<post>/keep")
def confirm_keep(post: str) -> Response:
    return _ask(_keep_question(post, ModerateForm()))


@bp.post("/posts/<post>/keep")
def keep_post(post: str) -> Response:
    return _moderate(post, _keep_question, moderation.keep_post, said="The post stays.")


def _keep_question(post: str, form: ModerateForm) -> Question:
    return _about_post(
        post, form, title="Keep {}", lead="What was reported about it is settled.", act="keep"
    )


@bp.get("/posts/<post>/restore")
def confirm_restore(post: str) -> Response:
    return _ask(_restore_question(post, ModerateForm()))


@bp.post("/posts/<post>/restore")
def restore_post(post: str) -> Response:
    said = "The post is shown again."
    return _moderate(post, _restore_question, moderation.restore_post, said=said)


def _restore_question(post: str, form: ModerateForm) -> Question:
    return _about_post(
        post,
        form,
        title="Show {} again",
        lead="Everyone who sees the thread reads it again. With the opening post comes the thread,"
        " unlocked if it was locked as spam.",
        act="restore",
    )


@bp.get(f"/threads/{NUMBER}/lock")
def confirm_lock(number: int) -> Response:
    return _ask(_lock_question(number, ModerateForm()))


@bp.post(f"/threads/{NUMBER}/lock")
def lock_spam(number: int) -> Response:
    actor, form = current_actor(), ModerateForm()
    question = _lock_question(number, form)
    if not form.validate():
        return _refused(question)
    with transaction(session()):
        thread = get_thread(session(), actor, number, for_update=True)
        moderation.lock_spam(session(), actor=actor, thread=thread, reason=form.reason.data)
    return responses.done(question.back, message="The thread is locked and hidden.")


def _lock_question(number: int, form: ModerateForm) -> Question:
    thread = get_thread(session(), current_actor(), number)
    return Question(
        title=f"Lock thread {thread.number:,} as spam",
        lead="Nothing can be added to it then, and only its author and our staff read it."
        " For anything but spam, decide instead.",
        button="Lock the thread",
        action=url_for("moderation.lock_spam", number=number),
        back=url_for("feedback.thread", number=number),
        form=form,
    )


@bp.get(f"/threads/{NUMBER}/notes/new")
def new_note(number: int) -> Response:
    return _note(responses.page, number, form=NoteForm())


@bp.post(f"/threads/{NUMBER}/notes")
def leave_note(number: int) -> Response:
    actor, form = current_actor(), NoteForm()
    get_thread(session(), actor, number)
    if not form.validate():
        return _note(responses.invalid, number, form=form)
    try:
        with transaction(session()):
            thread = get_thread(session(), actor, number, for_update=True)
            moderation.note(session(), actor=actor, thread=thread, text=form.text.data)
    except Invalid as error:
        form.refuse(error.public, field=error.field)
        return _note(responses.invalid, number, form=form)
    to = url_for("feedback.thread", number=number)
    return responses.done(to, message="Your note is left, for the staff alone.")


def _note(answer: Callable[..., Response], number: int, *, form: NoteForm) -> Response:
    thread = get_thread(session(), current_actor(), number)
    fragment = "admin/_moderation_note_form.html"
    return answer("admin/moderation_note.html", fragment=fragment, thread=thread, form=form)


def _about_post(post: str, form: ModerateForm, *, title: str, lead: str, act: str) -> Question:
    actor = current_actor()
    thread, found = post_and_thread(session(), post)
    name = "the opening post" if found.position == 0 else f"post #{found.position}"
    headline = title.format(name)
    return Question(
        title=headline,
        lead=lead,
        button=headline,
        action=url_for(f"moderation.{act}_post", post=post),
        back=url_for("feedback.thread", number=thread.number, post=found.id),
        form=form,
        post=show_post(session(), actor, thread=thread, post=found),
    )


def _moderate(
    post: str,
    ask: Callable[[str, ModerateForm], Question],
    command: Callable[..., object],
    *,
    said: str,
) -> Response:
    actor, form = current_actor(), ModerateForm()
    question = ask(post, form)
    if not form.validate():
        return _refused(question)
    with transaction(session()):
        thread, found = post_and_thread(session(), post, for_update=True)
        command(session(), actor=actor, thread=thread, post=found, reason=form.reason.data)
    return responses.done(question.back, message=said)


def _ask(question: Question) -> Response:
    return _answer(responses.page, question, fragment="admin/_moderation_question.html")


def _refused(question: Question) -> Response:
    return _answer(responses.invalid, question, fragment="admin/_moderation_form.html")


def _answer(answer: Callable[..., Response], question: Question, *, fragment: str) -> Response:
    reports = list_reports(session(), question.post.id) if question.post else []
    template = "admin/moderation_act.html"
    return answer(template, fragment=fragment, question=question, reports=reports)
