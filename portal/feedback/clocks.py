"""The clocks that run in public: by when a thread is answered, and by when it is decided. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import zip_longest

from portal.core.durations import working_days_after
from portal.feedback.models import Decision, Outcome, Thread

# Published on the pages.
ANSWER_WORKING_DAYS = 3
DECISION_DAYS = 14


class Pace(StrEnum):
    """How a clock stands."""

    RUNNING = "running"
    MET = "met"
    LATE = "late"  # done, but after its time
    MISSED = "missed"  # not done, and its time is over
    STOPPED = "stopped"  # the author closed the thread before its time was over


@dataclass(frozen=True)
class Clock:
    """One target of a thread as it stands at `at`: since when it runs, by when it is due, when it was done."""

    name: str
    title: str
    since: datetime
    due_at: datetime
    done_at: datetime | None
    stopped_at: datetime | None
    at: datetime

    @property
    def pace(self) -> Pace:
        if self.done_at is not None:
            return Pace.MET if self.done_at <= self.due_at else Pace.LATE
        if self.stopped_at is not None:
            return Pace.STOPPED if self.stopped_at <= self.due_at else Pace.MISSED
        return Pace.RUNNING if self.at <= self.due_at else Pace.MISSED

    @property
    def is_missed(self) -> bool:
        """Whether its time passed before it was done; that stays so for ever."""
        return self.pace in {Pace.LATE, Pace.MISSED}


def answer_due_at(asked_at: datetime) -> datetime:
    """By when somebody of the staff answers."""
    return working_days_after(asked_at, ANSWER_WORKING_DAYS)


def decision_due_at(opened_at: datetime, effective_at: datetime) -> datetime:
    """By when a thread on a tightening is decided: always before that takes effect.

    What takes effect as it is announced, an emergency cut, leaves no such time.
    """
    due = opened_at + timedelta(days=DECISION_DAYS)
    return min(due, effective_at) if effective_at > opened_at else due


def deferred_until(day: date) -> datetime:
    """The instant at which a deferral until a day ends: its beginning, UTC."""
    return datetime.combine(day, time(), UTC)


def clocks_of(thread: Thread, decisions: Sequence[Decision], *, at: datetime) -> tuple[Clock, ...]:
    """The clocks of a thread, in the order of their promises; `decisions` all of its, oldest first."""
    found, stopped, since = [], thread.closed_at, thread.created_at
    if thread.answer_due_at is not None:
        due, done = thread.answer_due_at, thread.first_answer_at
        found.append(Clock("answer", "First answer", since, due, done, stopped, at))
    if thread.decision_due_at is not None:
        due, done = thread.decision_due_at, thread.decided_at
        found.append(Clock("decision", "Decision", since, due, done, stopped, at))
    for decision, later in zip_longest(decisions, decisions[1:]):
        if decision.outcome is Outcome.DEFERRED and decision.until_on is not None:
            due, done = deferred_until(decision.until_on), later.decided_at if later else None
            name = f"deferred:{decision.id}"
            since = decision.decided_at
            found.append(Clock(name, "Deferred decision", since, due, done, stopped, at))
    return tuple(found)
