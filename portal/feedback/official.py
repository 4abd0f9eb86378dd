"""Official answers: marked, pinned to the top of their thread, and told to everyone concerned."""

from typing import Any

from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.errors import Conflict, Forbidden
from portal.feedback.commands import reply
from portal.feedback.models import Post, Thread
from portal.journal.commands import record


def answer_officially(session: Session, *, actor: Actor, thread: Thread, text: str) -> Post:
    """Answer as the provider. Later texts keep the earlier ones readable.

    Raises Forbidden, Conflict, and what `reply` raises.
    """
    if not actor.is_admin:
        raise Forbidden("Only our staff may do this.")
    if actor.user_id is None:
        raise Conflict("Only a person can answer officially.")
    post = reply(session, actor=actor, thread=thread, text=text)
    post.is_official = True
    about: dict[str, Any] = {"thread": thread.number, "post": post.id}
    record(session, actor, "feedback:post:made_official", subject_id=thread.id, **about)
    return post
