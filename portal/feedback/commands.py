"""Threads and posts: opened, answered, edited, voted for, followed, closed by whoever opened them.

Every act is handed its thread, loaded for the actor and locked. None of them decides a thread.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.changelog.models import Change
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.errors import Forbidden, Invalid
from portal.core.ids import new_id
from portal.feedback.clocks import answer_due_at
from portal.feedback.errors import (
    AlreadyReported,
    AlreadyVoted,
    ChangedMeanwhile,
    MayNotWrite,
    NotVoted,
    NotYourPost,
    NotYourThread,
    OwnPost,
)
from portal.feedback.models import (
    Category,
    Follow,
    Kind,
    Post,
    PostEdit,
    Report,
    State,
    Thread,
    Visibility,
    Vote,
)
from portal.feedback.policy import (
    may_edit,
    must_be_closable,
    must_be_readable,
    must_be_text,
    must_be_title,
    must_take_posts,
)
from portal.feedback.queries import Voice, get_voice, list_voices
from portal.feedback.search import add_words, rebuild_words
from portal.journal.commands import record


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What somebody wants to say. `org_id`: for which organisation, where they may choose."""

    kind: Kind
    title: str
    text: str
    category: Category
    visibility: Visibility = Visibility.PUBLIC
    org_id: str | None = None
    change: int | None = None
    tier: str | None = None
    model: str | None = None


def open_thread(session: Session, *, actor: Actor, opening: Opening) -> Thread:
    """Open a thread with its first post. Raises MayNotWrite, BadText, Invalid (visibility, change)."""
    voice = _voice_for(session, actor, opening)
    must_be_title(opening.title)
    must_be_text(opening.text)
    if opening.visibility is Visibility.PRIVATE and voice.org_id is None:
        raise Invalid("Only an organisation has private threads.", field="visibility")
    _must_name_change(session, opening)
    thread = Thread(
        id=new_id("thr"),
        kind=opening.kind,
        title=opening.title,
        category=opening.category,
        author_id=voice.user_id,
        org_id=voice.org_id,
        visibility=opening.visibility,
        change=opening.change,
        tier=opening.tier,
        model=opening.model,
        state=State.OPEN,
        answer_due_at=None if voice.is_staff else answer_due_at(clock.now()),
        created_at=clock.now(),
        active_at=clock.now(),
        votes=0,
        replies=0,
    )
    session.add(thread)
    session.flush()  # the database gives the number
    add_post(session, thread, voice=voice, text=opening.text, position=0)
    add_words(session, thread, opening.title, opening.text)
    _journal(session, actor, thread, verb="thread:opened", org_id=voice.org_id)
    return thread


def _must_name_change(session: Session, opening: Opening) -> None:
    if opening.kind is Kind.REPLY and opening.change is None:
        raise Invalid("Name the change that you reply to.", field="change")
    if opening.change is not None and session.get(Change, opening.change) is None:
        raise Invalid(f"There is no change {opening.change:,}.", field="change")


def _voice_for(session: Session, actor: Actor, opening: Opening) -> Voice:
    voice = get_voice(session, actor)
    if opening.org_id is None or voice.is_staff:
        return voice
    if opening.org_id not in {org.id for org in list_voices(session, actor)}:
        raise MayNotWrite("Your role does not allow you to write for this organisation.")
    return Voice(voice.user_id, opening.org_id, is_staff=False)


def reply(
    session: Session, *, actor: Actor, thread: Thread, text: str, answers: Post | None = None
) -> Post:
    """Add a post, which may name another that it is about.

    Raises ThreadHidden, ThreadLocked, ThreadClosed, PostHidden, MayNotWrite, BadText.
    """
    must_take_posts(thread)
    voice = get_voice(session, actor, thread)
    if answers is not None:
        must_be_readable(answers)
    must_be_text(text)
    thread.replies += 1
    thread.active_at = clock.now()
    post = add_post(session, thread, voice=voice, text=text, position=thread.replies)
    post.answers_id = answers.id if answers else None
    if voice.is_staff and thread.first_answer_at is None and thread.author_id != voice.user_id:
        thread.first_answer_at = thread.active_at
    if not voice.is_staff and thread.answer_due_at is None and thread.first_answer_at is None:
        # What the portal opened asks for an answer as soon as somebody has written.
        thread.answer_due_at = answer_due_at(thread.active_at)
    add_words(session, thread, text)
    _journal(session, actor, thread, verb="post:written", org_id=voice.org_id, post=post.id)
    return post


def add_post(
    session: Session, thread: Thread, *, voice: Voice | None, text: str, position: int
) -> Post:
    """Add the row of a post to a locked thread; without a voice the portal speaks."""
    post = Post(
        id=new_id("pst"),
        thread_id=thread.id,
        position=position,
        author_id=voice.user_id if voice else None,
        org_id=voice.org_id if voice else None,
        is_staff=voice is None or voice.is_staff,
        is_official=False,
        text=text,
        created_at=clock.now(),
    )
    session.add(post)
    return post


def edit_post(
    session: Session, *, actor: Actor, thread: Thread, post: Post, text: str, seen: str
) -> None:
    """Replace the text of one's own post, and keep the old one. The same text changes nothing.

    `seen`: the id of the newest edit that the editor knew, or "". Raises NotYourPost, PostHidden,
    ThreadHidden, ThreadLocked, ThreadClosed, ChangedMeanwhile, BadText.
    """
    if not may_edit(post, user_id=actor.user_id, is_staff=actor.is_admin):
        raise NotYourPost
    must_take_posts(thread)
    must_be_readable(post)
    must_be_text(text)
    if text == post.text:
        return
    if seen != newest_edit(post):
        raise ChangedMeanwhile
    now = clock.now()
    session.add(
        PostEdit(
            id=new_id("ped"),
            post_id=post.id,
            old_text=post.text,
            edited_by=actor.user_id,
            edited_at=now,
            told_at=None if post.is_official else now,
        )
    )
    post.text, post.edited_at = text, now
    rebuild_words(session, thread)
    _journal(session, actor, thread, verb="post:edited", org_id=post.org_id, post=post.id)


def newest_edit(post: Post) -> str:
    """What an edit form carries, to find out whether somebody else was quicker."""
    return post.edited_at.isoformat() if post.edited_at else ""


def vote(session: Session, *, actor: Actor, thread: Thread) -> None:
    """Vote for a thread, once a person. Raises AlreadyVoted, MayNotWrite and what closes a thread to posts."""
    must_take_posts(thread)
    voice = get_voice(session, actor, thread)
    if voice.is_staff:
        raise MayNotWrite("Votes are the customers'. Staff decide.")
    found = session.get(Vote, (thread.id, voice.user_id))
    if found is None:
        found = Vote(thread_id=thread.id, user_id=voice.user_id)
        session.add(found)
    elif found.withdrawn_at is None:
        raise AlreadyVoted
    found.org_id, found.created_at, found.withdrawn_at = voice.org_id, clock.now(), None
    thread.votes += 1
    _journal(session, actor, thread, verb="thread:voted", org_id=voice.org_id)


def withdraw_vote(session: Session, *, actor: Actor, thread: Thread) -> None:
    """Take one's vote back. Raises NotVoted and what closes a thread to posts."""
    must_take_posts(thread)
    found = session.get(Vote, (thread.id, actor.user_id)) if actor.user_id else None
    if found is None or found.withdrawn_at is not None:
        raise NotVoted
    found.withdrawn_at = clock.now()
    thread.votes -= 1
    _journal(session, actor, thread, verb="vote:withdrawn", org_id=found.org_id)


def follow(session: Session, *, actor: Actor, thread: Thread) -> None:
    """Follow a thread; a second time changes nothing. Raises Forbidden for nobody in particular."""
    if actor.user_id is None:
        raise Forbidden
    found = session.get(Follow, (thread.id, actor.user_id))
    if found is None:
        found = Follow(thread_id=thread.id, user_id=actor.user_id)
        session.add(found)
    elif found.ended_at is None:
        return
    found.created_at, found.ended_at = clock.now(), None
    _journal(session, actor, thread, verb="thread:followed")


def unfollow(session: Session, *, actor: Actor, thread: Thread) -> None:
    """Follow a thread no longer; a second time changes nothing."""
    found = session.get(Follow, (thread.id, actor.user_id)) if actor.user_id else None
    if found is None or found.ended_at is not None:
        return
    found.ended_at = clock.now()
    _journal(session, actor, thread, verb="thread:unfollowed")


def close_own_thread(session: Session, *, actor: Actor, thread: Thread) -> None:
    """Close a thread that one opened, before it is decided.

    Raises NotYourThread, ThreadDecided, ThreadHidden, ThreadLocked, ThreadClosed.
    """
    if actor.user_id is None or thread.author_id != actor.user_id:
        raise NotYourThread
    must_be_closable(thread)
    thread.state, thread.closed_at = State.CLOSED, clock.now()
    _journal(session, actor, thread, verb="thread:closed", org_id=thread.org_id)


def report_post(
    session: Session, *, actor: Actor, thread: Thread, post: Post, reason: str
) -> Report:
    """Ask the staff to look at a post. Raises OwnPost, PostHidden, AlreadyReported, Forbidden."""
    if actor.user_id is None:
        raise Forbidden
    must_be_readable(post)
    if post.author_id == actor.user_id:
        raise OwnPost
    report = Report(
        id=new_id("rpt"),
        post_id=post.id,
        user_id=actor.user_id,
        reason=reason,
        created_at=clock.now(),
    )
    session.add(report)
    try:
        session.flush()  # the index on unsettled reports decides, also between two at once
    except IntegrityError as error:
        if violates(error, "uq_reports_post_id_user_id"):
            raise AlreadyReported from error
        raise
    _journal(session, actor, thread, verb="post:reported", post=post.id, reason=reason)
    return report


def _journal(
    session: Session,
    actor: Actor,
    thread: Thread,
    *,
    verb: str,
    org_id: str | None = None,
    **details: str,
) -> None:
    named: dict[str, Any] = {"thread": thread.number, **details}
    record(session, actor, f"feedback:{verb}", org_id=org_id, subject_id=thread.id, **named)
