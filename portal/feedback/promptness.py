"""How the promised times were kept, month by month: medians, and what was missed. Nothing drops out of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    and_,
    case,
    extract,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.durations import lasting
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


def get_promptness(session: Session) -> Promptness:
    """How answers and decisions of the last twelve months kept their times.

    The database counts: a board of 200,000 threads would take seconds to be read.
    """
    now = clock.now()
    recent = and_(Thread.created_at >= _since(now), Thread.hidden_at.is_(None))
    answer, decision = _promise("answer", now), _promise("decision", now)
    rows = session.execute(
        select(_MONTH, func.count(), *answer.counts, *decision.counts)
        .where(recent)
        .group_by(_MONTH)
        .order_by(_MONTH.desc())
    ).all()
    answered = _medians(session, recent, answer.done_at)
    decided = _medians(session, recent, decision.done_at)
    missed, count = _missed(session, now)
    months = [
        Month(
            name=f"{int(month) // 12}-{int(month) % 12 + 1:02}",
            threads=threads,
            answers=_kept(counts[:3], answered.get(int(month))),
            decisions=_kept(counts[3:], decided.get(int(month))),
        )
        for month, threads, *counts in rows
    ]
    return Promptness(months, missed, count)


def _kept(counts: Sequence[int], median: str | None) -> Kept:
    promised, kept, missed = counts
    return Kept(promised, kept, missed, median)


# Months since the year 0, which both databases reckon alike.
_MONTH = extract("year", Thread.created_at) * 12 + extract("month", Thread.created_at) - 1


def _since(now: datetime) -> datetime:
    """The beginning of the first of the months."""
    year, month = divmod(now.year * 12 + now.month - MONTHS, 12)
    return datetime(year, month + 1, 1, tzinfo=now.tzinfo)


class _Promise(NamedTuple):
    """The columns of a promise, and the condition that its time passed before it was kept."""

    due_at: SQLColumnExpression[Any]
    done_at: SQLColumnExpression[Any]
    is_missed: ColumnElement[bool]

    @property
    def counts(self) -> tuple[ColumnElement[int], ...]:
        """How many were promised, kept and missed."""
        kept = self.done_at <= self.due_at
        return (
            func.count(self.due_at),
            func.count(case((kept, 1))),
            func.count(case((self.is_missed, 1))),
        )


def _promise(name: str, now: datetime) -> _Promise:
    due, done = {
        "answer": (Thread.answer_due_at, Thread.first_answer_at),
        "decision": (Thread.decision_due_at, Thread.decided_at),
    }[name]
    # Who closes their thread waits no longer.
    ended = func.coalesce(done, Thread.closed_at, literal(now, Thread.created_at.type))
    return _Promise(due, done, and_(due.is_not(None), ended > due))


def _medians(
    session: Session, recent: ColumnElement[bool], done_at: SQLColumnExpression[Any]
) -> dict[int, str]:
    """How long it took in the middle, by month."""
    took = extract("epoch", done_at) - extract("epoch", Thread.created_at)
    ranked = (
        select(
            _MONTH.label("month"),
            took.label("took"),
            func.row_number().over(partition_by=_MONTH, order_by=took).label("rank"),
            func.count().over(partition_by=_MONTH).label("count"),
        )
        .where(recent, done_at.is_not(None))
        .subquery()
    )
    # One in the middle, or two.
    middle = and_(2 * ranked.c.rank >= ranked.c.count, 2 * ranked.c.rank <= ranked.c.count + 2)
    query = select(ranked.c.month, func.avg(ranked.c.took)).where(middle)
    rows = session.execute(query.group_by(ranked.c.month))
    return {int(month): lasting(timedelta(seconds=float(each))) for month, each in rows}


def _missed(session: Session, now: datetime) -> tuple[list[MissedThread], int]:
    """The newest missed ones that everyone may read, and how many threads there are with one."""
    answer, decision = _promise("answer", now), _promise("decision", now)
    public = and_(Thread.visibility == Visibility.PUBLIC, Thread.hidden_at.is_(None))
    where = and_(public, or_(answer.is_missed, decision.is_missed))
    count = session.scalar(select(func.count()).select_from(Thread).where(where)) or 0
    query = select(Thread, answer.is_missed, decision.is_missed).where(where)
    rows = session.execute(query.order_by(Thread.number.desc()).limit(MISSED_SHOWN))
    return [missed for row in rows for missed in _of_thread(*row)], count


def _of_thread(thread: Thread, *is_missed: bool) -> Iterable[MissedThread]:
    promises = (
        ("first answer", thread.answer_due_at, thread.first_answer_at),
        ("decision", thread.decision_due_at, thread.decided_at),
    )
    for (what, due, done), missed in zip(promises, is_missed, strict=True):
        if missed and due is not None:
            yield MissedThread(thread.number, thread.title, what, due, done)
