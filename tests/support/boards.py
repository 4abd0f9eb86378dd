"""A thread with all that can happen to its posts, for pictures of the board's pages."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.feedback import commands, moderation
from portal.feedback.models import Category, Kind, Post, Thread
from tests.support.cast import Cast

TEXT = """We need **more**. Our nights look like this:

| hour | requests |
| --- | --- |
| 02:00 | 2,000 |

- `429` at two in the morning
- and at three

> As promised on the limits page.

    curl https://api.example.com/v1/messages
"""


@dataclass(frozen=True)
class Talk:
    """Thread 1 of Ada: her post, an edited reply of Ben that Dan reported, and one that is hidden."""

    post: str
    reply: str
    hidden: str


def talk(session: Session, cast: Cast) -> Talk:
    ada, ben, dan, root = (each.actor for each in (cast.ada, cast.ben, cast.dan, cast.root))
    opening = commands.Opening(
        kind=Kind.REQUEST, title="More requests at night", text=TEXT, category=Category.LIMITS
    )
    thread = commands.open_thread(session, actor=ada, opening=opening)
    reply = commands.reply(session, actor=ben, thread=thread, text="So do we.")
    commands.edit_post(session, actor=ben, thread=thread, post=reply, text="So do *we*.", seen="")
    hidden = commands.reply(session, actor=ben, thread=thread, text="Buy my boat!", answers=reply)
    commands.reply(session, actor=root, thread=thread, text="We look at it.")
    session.flush()  # the report names the post
    reason = "It says nothing new."
    commands.report_post(session, actor=dan, thread=thread, post=reply, reason=reason)
    moderation.hide_post(session, actor=root, thread=thread, post=hidden, reason="An advert.")
    moderation.note(session, actor=root, thread=thread, text="They *pay* well.")
    commands.vote(session, actor=ben, thread=thread)
    return Talk(_first(session, thread).id, reply.id, hidden.id)


def _first(session: Session, thread: Thread) -> Post:
    return session.scalars(
        select(Post).where(Post.thread_id == thread.id, Post.position == 0)
    ).one()
