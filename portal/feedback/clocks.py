"""The clocks that run in public: by when a thread is answered, and by when it is decided. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

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
    """One target of a thread: what is promised, since when, by when, and when it was done."""

    name: str
    title: str
    since: datetime
    due_at: datetime
    done_at: datetime | None
    stopped_at: datetime | None = None

    def pace(self, now: datetime) -> Pace:
        if self.done_at is not None:
            return Pace.MET if self.done_at <= self.due_at else Pace.LATE
        if self.stopped_at is not None:
            return Pace.STOPPED if self.stopped_at <= self.due_at else Pace.MISSED
        return Pace.RUNNING if now <= self.due_at else Pace.MISSED

    def is_missed(self, now: datetime) -> bool:
        """Whether its time passed before it was done; that stays so for ever."""
        return self.pace(now) in {Pace.LATE, Pace.MISSED}


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


def clocks_of(thread: Thread, decisions: Sequence[Decision]) -> tuple[Clock, ...]:
    """The clocks of a thread, in the order of their promises; `decisions` all of its, oldest first."""
    found, stopped = [], thread.closed_at
    if thread.answer_due_at is not None:
        due, done = thread.answer_due_at, thread.first_answer_at
        found.append(Clock("answer", "First answer", thread.created_at, due, done, stopped))
    if thread.decision_due_at is not None:
        done = decisions[0].decided_at if decisions else None
        due = thread.decision_due_at
        found.append(Clock("decision", "Decision", thread.created_at, due, done, stopped))
    return (*found, *_deferrals(decisions, stopped))


def _deferrals(decisions: Sequence[Decision], stopped: datetime | None) -> Iterable[Clock]:
    for place, decision in enumerate(decisions):
        if decision.outcome is Outcome.DEFERRED and decision.until_on is not None:
            later = decisions[place + 1].decided_at if place + 1 < len(decisions) else None
            due, since = deferred_until(decision.until_on), decision.decided_at
            yield Clock(f"deferred:{decision.id}", "Deferred decision", since, due, later, stopped)
