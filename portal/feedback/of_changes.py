"""Threads of changes: one opened with each announced tightening, and a post where a change names a thread.

A change does not know threads. This reads what the signed log has grown by, entry by entry, and then
notes how far it came: killed in between, or in two processes at once, it goes through an entry again, and
the database takes each thread and each link once.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from plimsoll.contract import acts
from plimsoll.contract.effect import OPENING_CHANGE
from plimsoll.contract.history import ANNOUNCED, ChangeInLog, State
from portal.changelog.delivery import must_be_told
from portal.changelog.models import ChangeWords
from portal.changelog.timeline import effect
from portal.core import clock
from portal.core.actor import JOB
from portal.core.db import Sessions, transaction, violates
from portal.core.ids import new_id
from portal.feedback.clocks import DECISION_DAYS, decision_due_at
from portal.feedback.commands import add_post
from portal.feedback.models import (
    TITLE_MAX,
    Category,
    FeedbackProgress,
    Kind,
    Thread,
    ThreadChange,
    Visibility,
)
from portal.feedback.search import add_words
from portal.feedback.steps import is_waiting
from portal.journal.commands import record
from portal.transparency.queries import SignedLog, signed_log

ROW_ID = 1
# More threads than anybody answers with one change: what else a reason lists is not answered by it.
NAMED_MAX = 20
_LINK = re.compile(r"(?<![\w/])/feedback/([1-9][0-9]{0,8})(?![\w/-])", re.ASCII)
_MARKS = re.compile(r"([\\`*_\[\]<>()#!&|~])")

_OPENING = """\
This thread opened by itself with {change}, which takes something away.

Say what it does to you, and what you would need instead. A vote counts, too. Somebody of our staff answers, \
and decides with a reason before the change takes effect. If enough organisations vote or write here, the change \
is held until then.
"""
_NAMED = "{change} names this thread as one that it answers."


def read_log(sessions: Sessions, url: str) -> int:
    """Go through the signed entries that the board has not read; returns how many threads and links came."""
    with sessions() as session:
        log, done = signed_log(session), _progress(session).size
    made = 0
    for entry in log.entries[done:]:
        number = entry["body"].get("change") if entry["kind"].startswith("change.") else None
        if number is not None and number != OPENING_CHANGE:
            made += _read_entry(sessions, log, entry, url=url)
    if done < log.size:
        with sessions() as session, transaction(session):
            row = _progress(session, for_update=True)
            row.size = max(row.size, log.size)
    return made


def named_in(text: str, url: str) -> list[int]:
    """The numbers of the threads that a text links, in its order: `/feedback/12`, with or without our address."""
    # Somebody else's /feedback/12 is not ours.
    found = _LINK.findall(text.replace(f"{url}/feedback/", " /feedback/"))
    return [int(number) for number in dict.fromkeys(found)][:NAMED_MAX]


def _progress(session: Session, *, for_update: bool = False) -> FeedbackProgress:
    return session.get_one(FeedbackProgress, ROW_ID, with_for_update=for_update)


def _read_entry(sessions: Sessions, log: SignedLog, entry: Mapping[str, Any], *, url: str) -> int:
    change, kind = log.history.changes[entry["body"]["change"]], entry["kind"]
    made = 0
    if kind == ANNOUNCED and _asks_for_thread(log, change):
        made += _once(sessions, lambda session: _open_thread(session, change))
    if kind in {ANNOUNCED, acts.AMENDED}:
        made += _link_all(sessions, change, url=url)
    if kind in {acts.RELEASED, acts.RESCHEDULED}:
        made += _once(sessions, lambda session: _hurry(session, change))
    return made


def _once(sessions: Sessions, act: Callable[[Session], bool]) -> int:
    """One act in a transaction of its own; 0 where another process was quicker."""
    try:
        with sessions() as session, transaction(session):
            return int(act(session))
    except IntegrityError as error:
        if violates(error, "uq_threads_change") or violates(error, "pk_thread_changes"):
            return 0
        raise


# ---- the thread of a tightening ----


def _asks_for_thread(log: SignedLog, change: ChangeInLog) -> bool:
    """Whether it takes something away, and there is still something to say about it."""
    state = change.state(clock.timestamp())
    if state is State.WITHDRAWN or not must_be_told(effect(log, change.number)):
        return False
    # A board that begins on an old portal does not open the past again.
    is_fresh = change.announced_at > clock.timestamp() - DECISION_DAYS * 86_400
    return is_fresh or state in {State.ANNOUNCED, State.HELD}


def _open_thread(session: Session, change: ChangeInLog) -> bool:
    if find_thread_of(session, change.number) is not None:
        return False
    announced = datetime.fromtimestamp(change.announced_at, UTC)
    effective = datetime.fromtimestamp(change.effective_at, UTC)
    title = f"Change {change.number}: {change.title}"
    thread = Thread(
        id=new_id("thr"),
        kind=Kind.REPLY,
        title=title if len(title) <= TITLE_MAX else title[: TITLE_MAX - 1] + "…",
        category=Category.LIMITS,
        visibility=Visibility.PUBLIC,
        change=change.number,
        decision_due_at=decision_due_at(announced, effective),
        active_at=clock.now(),
    )
    session.add(thread)
    session.flush()  # the database gives the number, and takes one such thread for each change
    text = _OPENING.format(change=_named(change))
    add_post(session, thread, voice=None, text=text, position=0)
    add_words(session, thread, title)
    _journal(session, thread, verb="opened", change=change.number)
    return True


def find_thread_of(session: Session, number: int) -> Thread | None:
    """The thread that the portal opened about a change."""
    return session.scalar(select(Thread).where(Thread.change == number, Thread.author_id.is_(None)))


def _hurry(session: Session, change: ChangeInLog) -> bool:
    """A change that comes sooner is decided about sooner: always before it takes effect."""
    thread = session.scalar(
        select(Thread)
        .where(Thread.change == change.number, Thread.author_id.is_(None))
        .with_for_update()
    )
    effective = datetime.fromtimestamp(change.effective_at, UTC)
    due = None if thread is None else thread.decision_due_at
    if thread is None or due is None or not is_waiting(thread) or due <= effective:
        return False
    thread.decision_due_at = effective
    return True


# ---- changes that name threads ----


def _link_all(sessions: Sessions, change: ChangeInLog, *, url: str) -> int:
    with sessions() as session:
        version = len(change.wordings)
        reason = session.scalar(
            select(ChangeWords.reason).where(
                ChangeWords.number == change.number, ChangeWords.version == version
            )
        )
        numbers = _there(session, named_in(reason or "", url), change.wordings[-1].at)
    return sum(_link(sessions, number, change) for number in numbers)


def _there(session: Session, numbers: Iterable[int], at: int) -> list[int]:
    """Those that were there when it was written: who names a number to come names no thread.

    Nothing is added to what our staff hid.
    """
    written = datetime.fromtimestamp(at, UTC) + timedelta(seconds=1)
    query = select(Thread.number).where(
        Thread.number.in_(numbers), Thread.created_at < written, Thread.hidden_at.is_(None)
    )
    return list(session.scalars(query.order_by(Thread.number)))


def _link(sessions: Sessions, number: int, change: ChangeInLog) -> int:
    def act(session: Session) -> bool:
        thread = session.scalars(
            select(Thread).where(Thread.number == number).with_for_update()
        ).one()
        if session.get(ThreadChange, (thread.id, change.number)) is not None:
            return False
        text = _NAMED.format(change=_named(change))
        thread.replies += 1
        thread.active_at = clock.now()
        post = add_post(session, thread, voice=None, text=text, position=thread.replies)
        # Pinned, and told to everyone concerned, as what our staff answer is.
        post.is_official = True
        session.flush()  # the link points at the post
        session.add(ThreadChange(thread_id=thread.id, change=change.number, post_id=post.id))
        add_words(session, thread, change.title)
        _journal(session, thread, verb="answered", change=change.number, post=post.id)
        return True

    return _once(sessions, act)


def _named(change: ChangeInLog) -> str:
    """A change as a link in Markdown; its title is text and nothing else."""
    title = _MARKS.sub(r"\\\1", " ".join(change.title.split()))
    return f"[Change {change.number}: {title}](/changelog/{change.number})"


def _journal(session: Session, thread: Thread, *, verb: str, **details: Any) -> None:
    about = {"thread": thread.number, **details}
    record(session, JOB, f"feedback:thread:{verb}", subject_id=thread.id, **about)
