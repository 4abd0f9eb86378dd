"""Votes and follows, and closing a thread of one's own."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core.db import transaction
from portal.core.errors import Invalid
from portal.feedback import commands
from portal.feedback.errors import NotYourThread
from portal.feedback.forms import ActForm
from portal.feedback.pace import count
from portal.feedback.policy import must_be_closable
from portal.feedback.queries import get_thread, is_following, own_votes
from portal.feedback.views import NUMBER
from portal.web import responses
from portal.web.session import session

bp = Blueprint("votes", __name__)

THREAD = f"/feedback/{NUMBER}"


@bp.post(f"{THREAD}/vote")
def vote(number: int) -> Response:
    return _do(number, commands.vote, said="Your vote counts.")


@bp.post(f"{THREAD}/withdraw-vote")
def withdraw_vote(number: int) -> Response:
    return _do(number, commands.withdraw_vote, said="Your vote is withdrawn.")


@bp.post(f"{THREAD}/follow")
def follow(number: int) -> Response:
    return _do(number, commands.follow, said="You follow this thread.")


@bp.post(f"{THREAD}/unfollow")
def unfollow(number: int) -> Response:
    return _do(number, commands.unfollow, said="You follow this thread no longer.")


def _do(number: int, command: Callable[..., Any], *, said: str) -> Response:
    """One act on a thread that needs nothing but the token."""
    actor = current_actor()
    get_thread(session(), actor, number)
    _must_be_whole(ActForm())
    count("feedback_vote")
    with transaction(session()):
        thread = get_thread(session(), actor, number, for_update=True)
        command(session(), actor=actor, thread=thread)
    values: dict[str, Any] = {
        "number": number,
        "votes": thread.votes,
        "has_own_vote": thread.id in own_votes(session(), actor, [thread.id]),
        "is_following": is_following(session(), actor, thread),
        "may_vote": not actor.is_admin,
    }
    to = url_for("feedback.thread", number=number)
    return responses.done(to, message=said, fragment="feedback/_votes.html", **values)


def _must_be_whole(form: ActForm) -> None:
    if not form.validate():
        raise Invalid("This form has expired. Load the page again.")


@bp.get(f"{THREAD}/close")
def confirm_close(number: int) -> Response:
    thread = get_thread(session(), current_actor(), number)
    if thread.author_id != current_actor().user_id:
        raise NotYourThread
    must_be_closable(thread)
    fragment = "feedback/_close_question.html"
    return responses.page("feedback/close.html", fragment=fragment, thread=thread)


@bp.post(f"{THREAD}/close")
def close_thread(number: int) -> Response:
    actor = current_actor()
    get_thread(session(), actor, number)
    _must_be_whole(ActForm())
    with transaction(session()):
        thread = get_thread(session(), actor, number, for_update=True)
        commands.close_own_thread(session(), actor=actor, thread=thread)
    to = url_for("feedback.thread", number=number)
    return responses.done(to, message="Your thread is closed.")
