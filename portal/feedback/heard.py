"""What was heard about a change, for its page: the thread it opened, and the threads it answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.changelog.prose import render
from portal.core import clock
from portal.core.actor import Actor
from portal.feedback.clocks import Clock, clocks_of
from portal.feedback.holds import count_orgs
from portal.feedback.models import Decision, Thread, ThreadChange
from portal.feedback.of_changes import find_thread_of
from portal.feedback.policy import STATES
from portal.feedback.queries import may_open, visible
from portal.feedback.staff_queue import list_decisions
from portal.feedback.steps import is_waiting


@dataclass(frozen=True)
class Answered:
    """A thread that the change answers, with what was decided there."""

    number: int
    title: str
    state: str
    decision: Decision | None


@dataclass(frozen=True)
class Heard:
    """`thread` None: nothing was asked about the change itself. `others`: further public threads about it."""

    thread: Thread | None
    state: str
    orgs: int
    is_waiting: bool
    clocks: Sequence[Clock]
    decision: Decision | None
    reason: Markup | None
    answers: Sequence[Answered]
    others: int
    may_open: bool

    @property
    def is_empty(self) -> bool:
        return self.thread is None and not self.answers and not self.others


def get_heard(session: Session, actor: Actor, number: int) -> Heard:
    """What was heard about a change, as far as the reader may see it."""
    thread, seen = find_thread_of(session, number), visible(session, actor)
    decisions = [] if thread is None else list_decisions(session, thread)
    in_force = decisions[-1] if decisions else None
    others = select(func.count()).where(
        Thread.change == number, Thread.author_id.is_not(None), seen
    )
    return Heard(
        thread=thread,
        state=STATES[thread.state] if thread else "",
        orgs=count_orgs(session, thread.id) if thread else 0,
        is_waiting=thread is not None and is_waiting(thread),
        clocks=clocks_of(thread, decisions, at=clock.now()) if thread else (),
        decision=in_force,
        reason=render(in_force.reason) if in_force else None,
        answers=_answers(session, actor, number),
        others=session.scalar(others) or 0,
        may_open=may_open(session, actor),
    )


def _answers(session: Session, actor: Actor, number: int) -> list[Answered]:
    query = (
        select(Thread, Decision)
        .join(ThreadChange, ThreadChange.thread_id == Thread.id)
        .outerjoin(Decision, Decision.id == Thread.decision_id)
        .where(ThreadChange.change == number, visible(session, actor))
        .order_by(Thread.number)
    )
    return [
        Answered(thread.number, thread.title, STATES[thread.state], decision)
        for thread, decision in session.execute(query)
    ]
