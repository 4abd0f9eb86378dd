"""Tells everyone concerned of what was decided or officially answered: one message a person and event.

The rows of the outbox come some hundred people at a time, each time in a transaction of their own; only
then is the event noted as told. Killed in between, or in two processes at once, it is gone through
again, and the outbox takes each person once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select, union, update
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core import clock
from portal.core.db import Sessions, transaction
from portal.core.outbox import Message, queue_mails
from portal.feedback import mails
from portal.feedback.models import (
    ClockReminder,
    Decision,
    Follow,
    Post,
    PostEdit,
    Thread,
    Vote,
)
from portal.orgs.models import Membership
from portal.transparency.models import LogHead

PEOPLE_AT_ONCE = 500


@dataclass(frozen=True)
class News:
    """What the outbox calls it, in which thread, who did it and need not be told, and the letter."""

    event: str
    thread: Thread
    but: str | None
    letter: Callable[[str], Message]
    row: type[Decision | Post | PostEdit]
    row_id: str


def tell(sessions: Sessions, url: str) -> int:
    """Queue the messages of everything that nobody was told of; returns how many."""
    with sessions() as session:
        waiting = [*_decisions(session, url), *_answers(session, url), *_edits(session, url)]
    return sum(_tell(sessions, news) for news in waiting)


def list_audience(
    session: Session, thread: Thread, *, after: str = "", limit: int
) -> list[tuple[str, str]]:
    """Who opened, follows, votes for or wrote in a thread and may read it, as (id, address), by id.

    Nobody whose address is not confirmed: it may be a stranger's.
    """
    concerned = union(
        select(Thread.author_id).where(Thread.id == thread.id),
        select(Follow.user_id).where(Follow.thread_id == thread.id, Follow.ended_at.is_(None)),
        select(Vote.user_id).where(Vote.thread_id == thread.id, Vote.withdrawn_at.is_(None)),
        select(Post.author_id).where(Post.thread_id == thread.id, Post.hidden_at.is_(None)),
    ).subquery()
    query = select(User.id, User.email).where(
        User.id.in_(select(concerned.c[0])),
        User.id > after,
        User.email_confirmed_at.is_not(None),
        User.deleted_at.is_(None),
    )
    if thread.is_private:
        query = query.where(_is_inside(thread))
    if thread.hidden_at is not None:
        query = query.where(or_(User.is_admin, User.id == thread.author_id))
    return [(row.id, row.email) for row in session.execute(query.order_by(User.id).limit(limit))]


def _is_inside(thread: Thread) -> ColumnElement[bool]:
    members = select(Membership.user_id).where(Membership.org_id == thread.org_id)
    return or_(User.is_admin, User.id.in_(members))


def _tell(sessions: Sessions, news: News) -> int:
    after, queued = "", 0
    while True:
        with sessions() as session:
            people = list_audience(session, news.thread, after=after, limit=PEOPLE_AT_ONCE)
            letters = {each: news.letter(email) for each, email in people if each != news.but}
            if letters:
                with transaction(session):
                    queue_mails(session, letters, event=news.event)
        queued += len(letters)
        if len(people) < PEOPLE_AT_ONCE:
            break
        after = people[-1][0]
    with sessions() as session, transaction(session):
        noted = update(news.row).where(news.row.id == news.row_id).values(told_at=clock.now())
        session.execute(noted)
    return queued


# ---- what nobody was told of ----


def _decisions(session: Session, url: str) -> list[News]:
    signed = select(func.max(LogHead.size)).scalar_subquery()
    query = (
        select(Decision, Thread)
        .join(Thread, Thread.id == Decision.thread_id)
        # What is not signed is not in force.
        .where(Decision.told_at.is_(None), Decision.entry_seq < signed)
        .order_by(Decision.id)
    )
    return [_of_decision(*row, url) for row in session.execute(query).all()]


def _of_decision(decision: Decision, thread: Thread, url: str) -> News:
    about = mails.About(thread.number, thread.title, url)
    return News(
        event=f"decision:{decision.id}",
        thread=thread,
        but=decision.decided_by,
        letter=lambda to: mails.decided(to, about, decision),
        row=Decision,
        row_id=decision.id,
    )


def _answers(session: Session, url: str) -> list[News]:
    query = (
        select(Post, Thread)
        .join(Thread, Thread.id == Post.thread_id)
        .where(Post.is_official, Post.told_at.is_(None))
        .order_by(Post.id)
    )
    return [_of_answer(*row, url) for row in session.execute(query).all()]


def _of_answer(post: Post, thread: Thread, url: str) -> News:
    about = mails.About(thread.number, thread.title, url)
    return News(
        event=f"answer:{post.id}",
        thread=thread,
        but=post.author_id,
        letter=lambda to: mails.answered(to, about, post),
        row=Post,
        row_id=post.id,
    )


def _edits(session: Session, url: str) -> list[News]:
    query = (
        select(PostEdit, Post, Thread)
        .join(Post, Post.id == PostEdit.post_id)
        .join(Thread, Thread.id == Post.thread_id)
        .where(PostEdit.told_at.is_(None))
        .order_by(PostEdit.id)
    )
    return [
        _of_edit(edit, post, mails.About(thread.number, thread.title, url), thread=thread)
        for edit, post, thread in session.execute(query)
    ]


def _of_edit(edit: PostEdit, post: Post, about: mails.About, *, thread: Thread) -> News:
    return News(
        event=f"edit:{edit.id}",
        thread=thread,
        but=edit.edited_by,
        letter=lambda to: mails.edited(to, about, post),
        row=PostEdit,
        row_id=edit.id,
    )


# ---- the staff ----


def remind_staff(
    session: Session, thread_id: str, *, name: str, letter: Callable[[str], Message]
) -> int:
    """Tell all of the staff of something about a thread, once; opens a transaction of its own."""
    if session.get(ClockReminder, (thread_id, name)) is not None:
        return 0
    with transaction(session):
        # Under the thread's lock, so that two processes at once tell once.
        session.get_one(Thread, _number(session, thread_id), with_for_update=True)
        if session.get(ClockReminder, (thread_id, name)) is not None:
            return 0
        session.add(ClockReminder(thread_id=thread_id, name=name))
        staff = select(User.id, User.email).where(User.is_admin, User.deleted_at.is_(None))
        letters = {row.id: letter(row.email) for row in session.execute(staff.order_by(User.id))}
        queue_mails(session, letters, event=f"{thread_id}:{name}")
    return len(letters)


def _number(session: Session, thread_id: str) -> int:
    return session.scalars(select(Thread.number).where(Thread.id == thread_id)).one()
