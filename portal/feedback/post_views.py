"""Posts: permalinks, replies, edits with their history, reports."""

from collections.abc import Callable

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core.db import transaction
from portal.core.errors import Invalid
from portal.feedback import commands
from portal.feedback.errors import ChangedMeanwhile, NotYourPost, OwnPost, PostHidden
from portal.feedback.forms import EditForm, ReplyForm, ReportForm
from portal.feedback.models import Post, Thread
from portal.feedback.pace import count
from portal.feedback.policy import may_edit, must_be_readable, must_take_posts
from portal.feedback.queries import get_post, get_thread, get_voice, list_edits
from portal.feedback.shown import show_post, show_text
from portal.feedback.views import NUMBER, show_thread
from portal.web import responses
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("posts", __name__)

POST = f"/feedback/{NUMBER}/posts/<post>"


@bp.get(POST)
@public
def permalink(number: int, post: str) -> Response:
    """Lead to the page of the thread on which the post stands."""
    thread = get_thread(session(), current_actor(), number)
    found = get_post(session(), thread, post)
    return responses.done(_at(number, found.id))


def _at(number: int, post: str) -> str:
    """The thread, open at a post. The query makes htmx load it, where an anchor alone would only scroll."""
    return url_for("feedback.thread", number=number, post=post, _anchor=post)


@bp.get(f"{POST}/history")
@public
def history(number: int, post: str) -> Response:
    actor = current_actor()
    thread = get_thread(session(), actor, number)
    found = get_post(session(), thread, post)
    shown = show_post(session(), actor, thread=thread, post=found)
    if shown.html is None:
        must_be_readable(found)
    edits = [(edit.edited_at, show_text(edit.old_text)) for edit in list_edits(session(), found)]
    return responses.page("feedback/history.html", thread=thread, post=shown, edits=edits)


@bp.post(f"/feedback/{NUMBER}/posts")
def reply(number: int) -> Response:
    actor, form = current_actor(), ReplyForm()
    thread = get_thread(session(), actor, number)
    must_take_posts(thread)
    get_voice(session(), actor, thread)
    if not form.validate():
        return show_thread(responses.invalid, number, form=form)
    count("feedback_post")
    try:
        with transaction(session()):
            thread = get_thread(session(), actor, number, for_update=True)
            named = form.answers.data
            answers = get_post(session(), thread, named) if named else None
            post = commands.reply(
                session(), actor=actor, thread=thread, text=form.text.data, answers=answers
            )
    except (Invalid, PostHidden) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return show_thread(responses.invalid, number, form=form)
    to = _at(number, post.id)
    return responses.done(to, message="Your reply is posted.")


@bp.get(f"{POST}/edit")
def editing(number: int, post: str) -> Response:
    thread, found = _own(number, post)
    form = EditForm(data={"text": found.text, "seen": commands.newest_edit(found)})
    return _editing(responses.page, thread, found, form=form)


@bp.post(f"{POST}/edit")
def edit_post(number: int, post: str) -> Response:
    actor, form = current_actor(), EditForm()
    thread, found = _own(number, post)
    if not form.validate():
        return _editing(responses.invalid, thread, found, form=form)
    count("feedback_post")
    try:
        with transaction(session()):
            thread = get_thread(session(), actor, number, for_update=True)
            found = get_post(session(), thread, post, for_update=True)
            values = {"text": form.text.data, "seen": form.seen.data or ""}
            commands.edit_post(session(), actor=actor, thread=thread, post=found, **values)
    except (Invalid, ChangedMeanwhile) as error:
        thread, found = _own(number, post)
        form.refuse(error.public, field=getattr(error, "field", None))
        if isinstance(error, ChangedMeanwhile):
            form.seen.data = commands.newest_edit(found)
        return _editing(responses.invalid, thread, found, form=form)
    to = _at(number, post)
    return responses.done(to, message="The post is edited. Its earlier text stays readable.")


def _own(number: int, post: str) -> tuple[Thread, Post]:
    """A post that may be edited now. Raises NotFound, NotYourPost, and what closes a thread to posts."""
    actor = current_actor()
    thread = get_thread(session(), actor, number)
    found = get_post(session(), thread, post)
    if not may_edit(found, user_id=actor.user_id, is_staff=actor.is_admin):
        raise NotYourPost
    must_take_posts(thread)
    must_be_readable(found)
    return thread, found


def _editing(
    answer: Callable[..., Response], thread: Thread, post: Post, *, form: EditForm
) -> Response:
    return answer(
        "feedback/edit.html",
        fragment="feedback/_edit_form.html",
        thread=thread,
        post=post,
        shown=show_text(post.text),
        form=form,
    )


@bp.get(f"{POST}/report")
def confirm_report(number: int, post: str) -> Response:
    return _report(responses.page, number, post, form=ReportForm())


@bp.post(f"{POST}/report")
def report_post(number: int, post: str) -> Response:
    actor, form = current_actor(), ReportForm()
    get_post(session(), get_thread(session(), actor, number), post)
    if not form.validate():
        return _report(responses.invalid, number, post, form=form)
    count("feedback_report")
    with transaction(session()):
        thread = get_thread(session(), actor, number)
        found = get_post(session(), thread, post, for_update=True)
        commands.report_post(
            session(), actor=actor, thread=thread, post=found, reason=form.reason.data
        )
    # Without the anchor: asked in the dialog of this very page, the browser else only scrolls.
    to = url_for("feedback.thread", number=number, post=post)
    return responses.done(to, message="Reported. Our staff will look at it.")


def _report(
    answer: Callable[..., Response], number: int, post: str, *, form: ReportForm
) -> Response:
    actor = current_actor()
    thread = get_thread(session(), actor, number)
    found = get_post(session(), thread, post)
    shown = show_post(session(), actor, thread=thread, post=found)
    if not shown.may_report:
        must_be_readable(found)
        raise OwnPost
    fragment = "feedback/_report_question.html"
    if answer is responses.invalid:
        fragment = "feedback/_report_form.html"
    return answer("feedback/report.html", fragment=fragment, thread=thread, post=shown, form=form)
