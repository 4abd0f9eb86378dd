"""A thread that many organisations vote or write in holds the change it is about, until it is decided.

The hold is the changelog's own, under the name "feedback"; the rule of notice may refuse it, or its end.
Then nothing is half done, the staff are told once, and it is tried again when the log has grown or an
hour has passed.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, or_, select, union
from sqlalchemy.orm import Session

from plimsoll.contract.history import History, Status
from plimsoll.contract.history import State as ChangeState
from portal.changelog.errors import AlreadyHeld, NotHeld
from portal.changelog.holds import hold_change, release_change
from portal.changelog.models import ATTENTION
from portal.config import Settings
from portal.core import clock
from portal.core.actor import JOB
from portal.core.db import Sessions, transaction
from portal.core.errors import Invalid
from portal.feedback import mails
from portal.feedback.models import AttentionHold, Decision, Outcome, Post, State, Thread, Vote
from portal.feedback.told import remind_staff
from portal.orgs.models import Org
from portal.transparency.queries import signed_log
from portal.transparency.signer import log_transaction

log = logging.getLogger(__name__)

AGAIN_AFTER = timedelta(hours=1)
_COMING = frozenset({ChangeState.ANNOUNCED, ChangeState.HELD})
_WAITING = (State.OPEN, State.ACKNOWLEDGED, State.UNDER_REVIEW)


class Due(NamedTuple):
    """A thread whose change is to be held, or released."""

    thread: int
    thread_id: str
    change: int
    orgs: int


class Refused(NamedTuple):
    """When an act was refused, and on a log of which size."""

    size: int
    at: datetime


class Attention:
    """Holds changes and releases them; what was refused is remembered in memory only."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions, self._settings = sessions, settings
        self._refused: dict[tuple[str, int], Refused] = {}

    def run(self) -> int:
        """Place every hold that is due and lift every one that is over; returns how many."""
        with self._sessions() as session:
            signed = signed_log(session)
            threshold = self._settings.attention_threshold
            to_hold = list_to_hold(session, signed.history, threshold)
            to_lift = list_to_lift(session, signed.history)
        placed = [self._act(due, "hold", _hold, size=signed.size) for due in to_hold]
        lifted = [self._act(due, "release", _release, size=signed.size) for due in to_lift]
        return sum(placed) + sum(lifted)

    def _act(self, due: Due, name: str, act: Callable[[Session, Due], None], *, size: int) -> bool:
        key, now = (name, due.change), clock.now()
        before = self._refused.get(key)
        if before and before.size == size and now - before.at < AGAIN_AFTER:
            return False
        try:
            with (
                self._sessions() as session,
                log_transaction(session, self._sessions, settings=self._settings, actor=JOB),
            ):
                act(session, due)
        except AlreadyHeld:
            return False  # another process was here
        except NotHeld:
            return _note_lifted(self._sessions, due)
        except Invalid as error:
            log.warning("change %d: its %s was refused: %s", due.change, name, error.public)
            self._refused[key] = Refused(size, now)
            self._tell(due, name=name, why=error.public)
            return False
        self._refused.pop(key, None)
        return True

    def _tell(self, due: Due, *, name: str, why: str) -> None:
        about = mails.About(due.thread, "", self._settings.url)
        with self._sessions() as session:
            remind_staff(
                session,
                due.thread_id,
                name=f"{name}_refused",
                letter=lambda to: mails.refused(to, about, change=due.change, name=name, why=why),
            )


def list_to_hold(session: Session, history: History, threshold: int) -> list[Due]:
    """The threads of announced tightenings with enough organisations and no answer, that hold nothing yet.

    A deferral answers nothing: it leaves the question open, to those who come later, too.
    """
    over = select(AttentionHold.thread_id).where(AttentionHold.lifted_at.is_not(None))
    placed = set(session.scalars(select(AttentionHold.thread_id)))
    deferred = select(Decision.id).where(Decision.outcome == Outcome.DEFERRED)
    threads = session.execute(
        select(Thread.number, Thread.id, Thread.change).where(
            Thread.change.is_not(None),
            Thread.author_id.is_(None),
            or_(Thread.state.in_(_WAITING), Thread.decision_id.in_(deferred)),
            Thread.id.not_in(over),
        )
    ).all()
    found = [
        Due(number, thread_id, change, count_orgs(session, thread_id))
        for number, thread_id, change in threads
        if change is not None
        and _is_coming(history, change)
        # What it placed may be gone from the log again, by `log discard`.
        and (thread_id not in placed or history.changes[change].status is not Status.HELD)
    ]
    return [due for due in found if due.orgs >= threshold]


def list_to_lift(session: Session, history: History) -> list[Due]:
    """The holds of threads that are decided; a deferral leaves the question open, and the hold with it."""
    decided = select(Decision.thread_id).where(
        Decision.superseded_at.is_(None), Decision.outcome != Outcome.DEFERRED
    )
    rows = session.execute(
        select(Thread.number, Thread.id, AttentionHold.change, AttentionHold.orgs)
        .join(AttentionHold, AttentionHold.thread_id == Thread.id)
        .where(AttentionHold.lifted_at.is_(None))
        .add_columns(Thread.id.in_(decided).label("is_decided"))
    )
    return [
        Due(row.number, row.id, row.change, row.orgs)
        for row in rows
        if row.is_decided or not _is_coming(history, row.change)
    ]


def count_orgs(session: Session, thread_id: str) -> int:
    """How many organisations vote or write in a thread; those that are suspended do not count."""
    votes = select(Vote.org_id).where(Vote.thread_id == thread_id, Vote.withdrawn_at.is_(None))
    posts = select(Post.org_id).where(Post.thread_id == thread_id, Post.hidden_at.is_(None))
    heard = union(votes, posts).subquery()
    query = select(func.count()).where(Org.id.in_(select(heard.c.org_id)))
    return session.scalar(query.where(Org.suspended_at.is_(None))) or 0


def _is_coming(history: History, number: int) -> bool:
    found = history.changes.get(number)
    return found is not None and found.state(clock.timestamp()) in _COMING


def _hold(session: Session, due: Due) -> None:
    reason = (
        f"{due.orgs:,} organisations voted or wrote in feedback thread {due.thread};"
        " it waits for the decision there."
    )
    hold_change(session, actor=JOB, number=due.change, name=ATTENTION, reason=reason)
    placed = session.get(AttentionHold, due.thread_id)
    if placed is None:
        placed = AttentionHold(thread_id=due.thread_id, change=due.change)
        session.add(placed)
    placed.orgs, placed.placed_at = due.orgs, clock.now()


def _release(session: Session, due: Due) -> None:
    release_change(session, actor=JOB, number=due.change, name=ATTENTION)
    _lift(session, due)


def _note_lifted(sessions: Sessions, due: Due) -> bool:
    """What was withdrawn, or released by another process, is held no longer."""
    with sessions() as session, transaction(session):
        return _lift(session, due)


def _lift(session: Session, due: Due) -> bool:
    hold = session.get(AttentionHold, due.thread_id, with_for_update=True)
    if hold is None or hold.lifted_at is not None:
        return False
    hold.lifted_at = clock.now()
    return True
