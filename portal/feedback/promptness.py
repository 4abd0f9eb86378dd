"""How the promised times were kept, month by month: medians, and what was missed. Nothing drops out of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.durations import lasting, median_of
from portal.feedback.models import Thread, Visibility

MONTHS = 12
MISSED_SHOWN = 50


class Kept(NamedTuple):
    """One promise in a month: how many were given, kept, missed, and how long it took in the middle."""

    promised: int
    kept: int
    missed: int
    median: str | None


@dataclass(frozen=True)
class Month:
    """The threads that were opened in a month, such as "2026-11"."""

    name: str
    threads: int
    answers: Kept
    decisions: Kept


@dataclass(frozen=True)
class MissedThread:
    """A public thread with a promise that was not kept in time."""

    number: int
    title: str
    what: str
    due_at: datetime
    done_at: datetime | None


@dataclass(frozen=True)
class Promptness:
    """The months, newest first; the newest of what was missed, and how much that is in all."""

    months: Sequence[Month]
    missed: Sequence[MissedThread]
    missed_in_all: int


class _Promise(NamedTuple):
    since: datetime
    due_at: datetime
    done_at: datetime | None
    stopped_at: datetime | None


def get_promptness(session: Session) -> Promptness:
    """How answers and decisions of the last twelve months kept their times."""
    now = clock.now()
    columns = (
        Thread.created_at,
        Thread.author_id,
        Thread.answer_due_at,
        Thread.first_answer_at,
        Thread.decision_due_at,
        Thread.decided_at,
        Thread.closed_at,
    )
    since = _months_before(now, MONTHS - 1)
    rows = session.execute(
        select(*columns).where(Thread.created_at >= since, Thread.hidden_at.is_(None))
    )
    by_month: dict[str, list[Row[*tuple[object, ...]]]] = {}
    for row in rows:
        by_month.setdefault(f"{row.created_at:%Y-%m}", []).append(row)
    missed, count = _missed(session, now)
    months = [_month(name, by_month[name], now) for name in sorted(by_month, reverse=True)]
    return Promptness(months, missed, count)


def _months_before(now: datetime, months: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    return datetime(year, month + 1, 1, tzinfo=now.tzinfo)


def _month(name: str, rows: Sequence[Row[*tuple[object, ...]]], now: datetime) -> Month:
    answers = [
        # The clock of what the portal opened begins with what somebody writes there, later.
        _Promise(row.created_at, row.answer_due_at, row.first_answer_at, row.closed_at)
        for row in rows
        if row.answer_due_at is not None
    ]
    decisions = [
        _Promise(row.created_at, row.decision_due_at, row.decided_at, row.closed_at)
        for row in rows
        if row.decision_due_at is not None
    ]
    took = [row.first_answer_at - row.created_at for row in rows if row.first_answer_at]
    decided = [row.decided_at - row.created_at for row in rows if row.decided_at]
    return Month(name, len(rows), _kept(answers, took, now), _kept(decisions, decided, now))


def _kept(promises: Iterable[_Promise], took: Sequence[timedelta], now: datetime) -> Kept:
    promised = list(promises)
    missed = sum(_is_missed(each, now) for each in promised)
    kept = sum(each.done_at is not None and each.done_at <= each.due_at for each in promised)
    middle = median_of(took)
    return Kept(len(promised), kept, missed, None if middle is None else lasting(middle))


def _is_missed(promise: _Promise, now: datetime) -> bool:
    ended = promise.done_at or promise.stopped_at or now
    return ended > promise.due_at


def _missed(session: Session, now: datetime) -> tuple[list[MissedThread], int]:
    """The newest missed ones that everyone may read, and how many there are in all."""
    answer = and_(
        Thread.answer_due_at.is_not(None),
        func.coalesce(Thread.first_answer_at, Thread.closed_at, now) > Thread.answer_due_at,
    )
    decision = and_(
        Thread.decision_due_at.is_not(None),
        func.coalesce(Thread.decided_at, Thread.closed_at, now) > Thread.decision_due_at,
    )
    public = and_(Thread.visibility == Visibility.PUBLIC, Thread.hidden_at.is_(None))
    where = and_(public, or_(answer, decision))
    count = session.scalar(select(func.count()).select_from(Thread).where(where)) or 0
    query = select(Thread).where(where).order_by(Thread.number.desc()).limit(MISSED_SHOWN)
    found = [missed for thread in session.scalars(query) for missed in _of_thread(thread, now)]
    return found, count


def _of_thread(thread: Thread, now: datetime) -> Iterable[MissedThread]:
    for what, due, done in (
        ("first answer", thread.answer_due_at, thread.first_answer_at),
        ("decision", thread.decision_due_at, thread.decided_at),
    ):
        since = thread.created_at
        if due is not None and _is_missed(_Promise(since, due, done, thread.closed_at), now):
            yield MissedThread(thread.number, thread.title, what, due, done)
