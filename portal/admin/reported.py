"""What was reported on the board, and what the staff did about it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core.errors import NotFound
from portal.feedback.models import ModerationAct, ModerationRecord, Post, Report, Thread

QUEUE_MAX = 100
DONE_MAX = 25
EXCERPT = 160


@dataclass(frozen=True)
class ReportRow:
    """One person's report of a post."""

    by: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class QueueRow:
    """A reported post, with its first report."""

    post_id: str
    position: int
    thread: int
    title: str
    excerpt: str
    reports: int
    first_at: datetime


@dataclass(frozen=True)
class DoneRow:
    act: ModerationAct
    thread: int
    title: str
    post_id: str | None
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True)
class Queue:
    """What waits, the longest waiting first, and what was done last. `waiting`: how many in all."""

    open: list[QueueRow]
    waiting: int
    done: list[DoneRow]


def get_queue(session: Session) -> Queue:
    """The page of the moderation queue."""
    unsettled = Report.settled_at.is_(None)
    first, count = func.min(Report.created_at), func.count()
    # By their first report: reported once more, a post does not wait longer.
    waiting = (
        select(Report.post_id, first.label("first_at"), count.label("reports"))
        .where(unsettled)
        .group_by(Report.post_id)
        .subquery()
    )
    rows = session.execute(
        select(Post, Thread, waiting.c.reports, waiting.c.first_at)
        .join(waiting, waiting.c.post_id == Post.id)
        .join(Thread, Thread.id == Post.thread_id)
        .order_by(waiting.c.first_at, Post.id)
        .limit(QUEUE_MAX)
    )
    total = session.scalar(select(func.count(Report.post_id.distinct())).where(unsettled))
    found = [
        QueueRow(
            post_id=post.id,
            position=post.position,
            thread=thread.number,
            title=thread.title,
            excerpt=post.text[:EXCERPT],
            reports=reports,
            first_at=first_at,
        )
        for post, thread, reports, first_at in rows
    ]
    return Queue(found, total or 0, _done(session))


def _done(session: Session) -> list[DoneRow]:
    rows = session.execute(
        select(ModerationRecord, Thread, User.email)
        .join(Thread, Thread.id == ModerationRecord.thread_id)
        .outerjoin(User, User.id == ModerationRecord.moderated_by)
        .order_by(ModerationRecord.id.desc())
        .limit(DONE_MAX)
    )
    return [
        DoneRow(
            act=made.act,
            thread=thread.number,
            title=thread.title,
            post_id=made.post_id,
            reason=made.reason,
            by=email or "",
            at=made.moderated_at,
        )
        for made, thread, email in rows
    ]


def list_reports(session: Session, post_id: str) -> list[ReportRow]:
    """What waits about one post, oldest first."""
    rows = session.execute(
        select(User.email, Report.reason, Report.created_at)
        .join(User, User.id == Report.user_id)
        .where(Report.post_id == post_id, Report.settled_at.is_(None))
        .order_by(Report.id)
    )
    return [ReportRow(*row) for row in rows]


def post_and_thread(
    session: Session, post_id: str, *, for_update: bool = False
) -> tuple[Thread, Post]:
    """A post with its thread, for the staff; the thread is locked first, as everywhere. Raises NotFound."""
    number = session.scalar(
        select(Thread.number).join(Post, Post.thread_id == Thread.id).where(Post.id == post_id)
    )
    of_thread, of_post = (
        select(Thread).where(Thread.number == number),
        select(Post).where(Post.id == post_id),
    )
    if for_update:
        of_thread, of_post = of_thread.with_for_update(), of_post.with_for_update()
    thread, post = session.scalar(of_thread), session.scalar(of_post)
    if thread is None or post is None:
        raise NotFound
    return thread, post
