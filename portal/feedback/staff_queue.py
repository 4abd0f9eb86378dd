"""What the staff see of the board: what waits for them, by the clock that runs out first, and one thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import Actor
from portal.feedback.clocks import Clock, clocks_of, deferred_until
from portal.feedback.holds import count_orgs
from portal.feedback.models import (
    AttentionHold,
    ClockReminder,
    Decision,
    Outcome,
    State,
    Thread,
)
from portal.feedback.policy import STATES
from portal.feedback.queries import get_thread
from portal.feedback.steps import Act, may, token_of

ROWS_MAX = 100
_WAITING = (State.OPEN, State.ACKNOWLEDGED, State.UNDER_REVIEW)


@dataclass(frozen=True)
class QueueRow:
    """A thread that waits: for what, and by when. `due_at` None: nothing is promised any more."""

    number: int
    title: str
    state: str
    votes: int
    replies: int
    change: int | None
    is_private: bool
    waits_for: str
    due_at: datetime | None
    is_late: bool


@dataclass(frozen=True)
class Queue:
    """The threads that wait, the most urgent first, and how many there are of them."""

    rows: tuple[QueueRow, ...]
    deferred: tuple[QueueRow, ...]
    waiting: int
    late: int


@dataclass(frozen=True)
class StaffThread:
    """A thread with all that the staff decide on. `orgs` None: it holds no change."""

    thread: Thread
    state: str
    seen: str
    clocks: tuple[Clock, ...]
    decisions: tuple[Decision, ...]
    orgs: int | None
    hold: AttentionHold | None
    refused: tuple[ClockReminder, ...]

    def allows(self, act: str) -> bool:
        if act == Act.DELIVER and self.decisions[-1:]:
            adopted = self.decisions[-1].outcome in {Outcome.ADOPTED, Outcome.PARTLY}
            return adopted and may(Act.DELIVER, self.thread)
        return may(Act(act), self.thread)


def get_queue(session: Session) -> Queue:
    """What waits for the staff."""
    now, due = clock.now(), _due()
    waits = and_(Thread.state.in_(_WAITING), Thread.hidden_at.is_(None))
    query = select(Thread, due.label("due")).where(waits)
    rows = session.execute(query.order_by(due.is_(None), due, Thread.number).limit(ROWS_MAX))
    waiting, late = session.execute(
        select(func.count(), func.count(case((due < now, 1)))).select_from(Thread).where(waits)
    ).one()
    return Queue(
        rows=tuple(_row(thread, now) for thread, _ in rows),
        deferred=_deferred(session, now),
        waiting=waiting,
        late=late,
    )


def _due() -> ColumnElement[datetime | None]:
    """The clock of a waiting thread that runs out first, in SQL."""
    answer = case((Thread.first_answer_at.is_(None), Thread.answer_due_at))
    decision = Thread.decision_due_at
    return case((answer < decision, answer), else_=func.coalesce(decision, answer))


def _row(thread: Thread, now: datetime) -> QueueRow:
    waits = [("a decision", thread.decision_due_at)]
    if thread.first_answer_at is None:
        waits.append(("an answer", thread.answer_due_at))
    running = [(due, what) for what, due in waits if due is not None]
    due_at, what = min(running) if running else (None, "a decision")
    return _shown(thread, what, due_at, now=now)


def _shown(thread: Thread, what: str, due_at: datetime | None, *, now: datetime) -> QueueRow:
    return QueueRow(
        number=thread.number,
        title=thread.title,
        state=STATES[thread.state],
        votes=thread.votes,
        replies=thread.replies,
        change=thread.change,
        is_private=thread.is_private,
        waits_for=what,
        due_at=due_at,
        is_late=due_at is not None and due_at < now,
    )


def _deferred(session: Session, now: datetime) -> tuple[QueueRow, ...]:
    query = (
        select(Thread, Decision.until_on)
        .join(Decision, Decision.id == Thread.decision_id)
        .where(Decision.outcome == Outcome.DEFERRED, Thread.state == State.DECIDED)
        .order_by(Decision.until_on, Thread.number)
        .limit(ROWS_MAX)
    )
    return tuple(
        _shown(thread, "its deferred decision", deferred_until(until), now=now)
        for thread, until in session.execute(query)
        if until is not None
    )


def get_staff_thread(session: Session, actor: Actor, number: int) -> StaffThread:
    """A thread as the staff see it. Raises NotFound."""
    thread = get_thread(session, actor, number)
    decisions = list_decisions(session, thread)
    holds = thread.change is not None and thread.author_id is None
    reminders = select(ClockReminder).where(
        ClockReminder.thread_id == thread.id, ClockReminder.name.endswith("_refused")
    )
    return StaffThread(
        thread=thread,
        state=STATES[thread.state],
        seen=token_of(thread),
        clocks=clocks_of(thread, decisions, at=clock.now()),
        decisions=tuple(decisions),
        orgs=count_orgs(session, thread.id) if holds else None,
        hold=session.get(AttentionHold, thread.id),
        refused=tuple(session.scalars(reminders.order_by(ClockReminder.name))),
    )


def list_decisions(session: Session, thread: Thread) -> Sequence[Decision]:
    """All decisions about a thread, oldest first."""
    query = select(Decision).where(Decision.thread_id == thread.id).order_by(Decision.id)
    return session.scalars(query).all()
