"""Reminds the staff of clocks that run out, and of those that have. Nothing is decided or closed by one."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.db import Sessions
from portal.feedback import mails
from portal.feedback.clocks import deferred_until
from portal.feedback.models import ClockReminder, Decision, Outcome, State, Thread
from portal.feedback.told import remind_staff
from portal.web.filters import instant

SOON = timedelta(days=2)
# Nobody minds a minute; a look at all that waits after each commit would cost too much.
LOOK_EVERY = timedelta(seconds=60)
_WAITING = (State.OPEN, State.ACKNOWLEDGED, State.UNDER_REVIEW)


class Due(NamedTuple):
    """A clock of a thread of which the staff were not told yet."""

    thread_id: str
    number: int
    title: str
    name: str
    what: str
    due_at: datetime
    is_missed: bool


def remind(sessions: Sessions, url: str) -> int:
    """One look at all clocks; returns how many reminders were written."""
    with sessions() as session:
        due = list_due(session, clock.now())
    return sum(_remind(sessions, each, url=url) for each in due)


def _remind(sessions: Sessions, due: Due, *, url: str) -> int:
    about = mails.About(due.number, due.title, url)
    at, missed = instant(due.due_at), due.is_missed
    with sessions() as session:
        return remind_staff(
            session,
            due.thread_id,
            name=due.name,
            letter=lambda to: mails.clock_runs_out(
                to, about, what=due.what, due_at=at, is_missed=missed
            ),
        )


def list_due(session: Session, now: datetime) -> list[Due]:
    """The clocks that run out soon, or ran out, of which nobody was reminded."""
    found = [*_answers(session, now), *_decisions(session, now), *_deferrals(session, now)]
    ids = {each.thread_id for each in found}
    told = select(ClockReminder.thread_id, ClockReminder.name).where(
        ClockReminder.thread_id.in_(ids)
    )
    known = {(row.thread_id, row.name) for row in session.execute(told)} if ids else set()
    return [each for each in found if (each.thread_id, each.name) not in known]


def _answers(session: Session, now: datetime) -> Iterator[Due]:
    query = select(Thread).where(
        Thread.state.in_(_WAITING),
        Thread.hidden_at.is_(None),
        Thread.first_answer_at.is_(None),
        Thread.answer_due_at < now,
        Thread.id.not_in(_told("answer_missed")),
    )
    for thread in session.scalars(query.order_by(Thread.number)):
        due = thread.answer_due_at or now
        yield Due(thread.id, thread.number, thread.title, "answer_missed", "answer", due, True)  # noqa: FBT003 -- a row


def _decisions(session: Session, now: datetime) -> Iterator[Due]:
    query = select(Thread).where(
        Thread.state.in_(_WAITING),
        Thread.hidden_at.is_(None),
        Thread.decision_due_at < now + SOON,
        Thread.id.not_in(_told("decision_missed")),
    )
    for thread in session.scalars(query.order_by(Thread.number)):
        due = thread.decision_due_at or now
        missed = due < now
        name = "decision_missed" if missed else "decision_soon"
        yield Due(thread.id, thread.number, thread.title, name, "decision", due, missed)


def _deferrals(session: Session, now: datetime) -> Iterator[Due]:
    query = (
        select(Decision.id, Decision.until_on, Thread)
        .join(Thread, Thread.id == Decision.thread_id)
        .where(
            Decision.superseded_at.is_(None),
            Decision.outcome == Outcome.DEFERRED,
            Decision.until_on <= now.date(),
        )
    )
    for decision_id, until_on, thread in session.execute(query.order_by(Decision.id)):
        due = deferred_until(until_on) if until_on else now
        name = f"deferred:{decision_id}"
        yield Due(thread.id, thread.number, thread.title, name, "deferred decision", due, True)  # noqa: FBT003 -- a row


def _told(name: str) -> Select[str]:
    return select(ClockReminder.thread_id).where(ClockReminder.name == name)
