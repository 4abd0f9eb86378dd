"""What the staff do about what has no place on the board. Each act leaves a record with its reason.

To lock a thread is for spam alone: the lock names the record that it rests on, and the database takes
none without. Whatever is hidden can be shown again.
"""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Forbidden
from portal.core.ids import new_id
from portal.feedback.errors import NotHidden, NotSpam, OfficialPost, PostHidden, ThreadLocked
from portal.feedback.models import (
    InternalNote,
    ModerationAct,
    ModerationRecord,
    Post,
    Report,
    State,
    Thread,
)
from portal.feedback.policy import must_be_readable, must_be_text
from portal.feedback.queries import opening_post
from portal.feedback.search import rebuild_words
from portal.journal.commands import record

_LOCK = "mod_"


def hide_post(
    session: Session, *, actor: Actor, thread: Thread, post: Post, reason: str
) -> ModerationRecord:
    """Hide a post from all but its author and the staff; with the first post goes the thread.

    Not once it is decided: what stands in the log stays readable, with all that it answers.

    Raises Forbidden, OfficialPost, PostHidden.
    """
    _must_be_staff(actor)
    must_be_readable(post)
    if post.is_official or post.author_id is None:
        raise OfficialPost
    made = _add_record(session, actor, thread, post=post, act=ModerationAct.HIDE, reason=reason)
    now = clock.now()
    post.hidden_at, post.hidden_by, post.hidden_reason = now, actor.user_id, reason
    if post.position == 0 and thread.decision_id is None:
        thread.hidden_at = now
    _settle(session, post, made)
    rebuild_words(session, thread)
    return made


def restore_post(
    session: Session, *, actor: Actor, thread: Thread, post: Post, reason: str
) -> ModerationRecord:
    """Show a hidden post again; with the first post comes the thread, unlocked if it was locked as spam.

    Raises Forbidden, NotHidden.
    """
    _must_be_staff(actor)
    if post.hidden_at is None:
        raise NotHidden
    made = _add_record(session, actor, thread, post=post, act=ModerationAct.RESTORE, reason=reason)
    post.hidden_at = post.hidden_by = post.hidden_reason = None
    if post.position == 0:
        thread.hidden_at = None
        if (thread.locked_for or "").startswith(_LOCK):
            thread.locked_at = thread.locked_for = None
    rebuild_words(session, thread)
    return made


def keep_post(
    session: Session, *, actor: Actor, thread: Thread, post: Post, reason: str
) -> ModerationRecord:
    """Settle what was reported about a post that stays. Raises Forbidden, PostHidden."""
    _must_be_staff(actor)
    if post.hidden_at is not None:
        raise PostHidden
    made = _add_record(session, actor, thread, post=post, act=ModerationAct.KEEP, reason=reason)
    _settle(session, post, made)
    return made


def lock_spam(session: Session, *, actor: Actor, thread: Thread, reason: str) -> ModerationRecord:
    """Lock a thread that is spam, and hide it. Raises Forbidden, ThreadLocked, NotSpam."""
    _must_be_staff(actor)
    if thread.locked_at is not None:
        raise ThreadLocked
    is_recorded = thread.decision_id is not None or thread.state in {State.DECIDED, State.DELIVERED}
    if thread.author_id is None or is_recorded:
        raise NotSpam
    made = _add_record(session, actor, thread, post=None, act=ModerationAct.LOCK, reason=reason)
    session.flush()  # the database locks no thread by a record that is not there
    thread.locked_at, thread.locked_for = clock.now(), made.id
    first = opening_post(session, thread)
    if first.hidden_at is None:
        hide_post(session, actor=actor, thread=thread, post=first, reason=reason)
    return made


def note(session: Session, *, actor: Actor, thread: Thread, text: str) -> InternalNote:
    """Leave a note that only staff read. Raises Forbidden, BadText."""
    _must_be_staff(actor)
    must_be_text(text)
    made = InternalNote(
        id=new_id("nte"),
        thread_id=thread.id,
        author_id=actor.user_id,
        text=text,
        created_at=clock.now(),
    )
    session.add(made)
    _journal(session, actor, thread, verb="thread:noted")
    return made


def _must_be_staff(actor: Actor) -> None:
    if not actor.is_admin or actor.user_id is None:
        raise Forbidden("Only one of the staff can do this.")


def _add_record(
    session: Session,
    actor: Actor,
    thread: Thread,
    *,
    post: Post | None,
    act: ModerationAct,
    reason: str,
) -> ModerationRecord:
    made = ModerationRecord(
        id=new_id("mod"),
        thread_id=thread.id,
        post_id=post.id if post else None,
        act=act,
        reason=reason,
        moderated_by=actor.user_id,
        moderated_at=clock.now(),
    )
    session.add(made)
    verbs = {
        ModerationAct.HIDE: "post:hidden",
        ModerationAct.RESTORE: "post:restored",
        ModerationAct.KEEP: "post:kept",
        ModerationAct.LOCK: "thread:locked",
    }
    details = {"reason": reason, "record": made.id} | ({"post": post.id} if post else {})
    _journal(session, actor, thread, verb=verbs[act], **details)
    return made


def _settle(session: Session, post: Post, made: ModerationRecord) -> None:
    open_ones = select(Report).where(Report.post_id == post.id, Report.settled_at.is_(None))
    for report in session.scalars(open_ones):
        report.settled_at, report.settled_for = made.moderated_at, made.id


def _journal(session: Session, actor: Actor, thread: Thread, *, verb: str, **details: str) -> None:
    named: dict[str, Any] = {"thread": thread.number, **details}
    record(session, actor, f"feedback:{verb}", subject_id=thread.id, **named)
