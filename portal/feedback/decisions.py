"""How a thread comes to its end: acknowledged, under review, decided, delivered.

Each act is handed the thread, locked. Only a person of the staff takes one, and only `decide` ends a
thread: with a record, whose text enters the public log as its SHA-256. Neither is ever changed; a
later decision supersedes an earlier one.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import decided
from plimsoll.contract.announcement import hash_reason
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Conflict, Forbidden, Invalid
from portal.core.ids import new_id
from portal.feedback.errors import ThreadMoved
from portal.feedback.models import Decision, Outcome, Thread
from portal.feedback.steps import Act, leads_to, may, record_text, token_of
from portal.journal.commands import record
from portal.transparency.commands import append_entry, full_history


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the form of a decision holds. `locks`: nothing can be added to the thread afterwards."""

    outcome: Outcome
    reason: str
    weighed: str = ""
    until_on: date | None = None
    review_on: date | None = None
    change: int | None = None
    locks: bool = False


def acknowledge(session: Session, *, actor: Actor, thread: Thread, seen: str) -> None:
    """Say that somebody has read it and is at it. Raises Forbidden, ThreadMoved."""
    _step(actor, thread, act=Act.ACKNOWLEDGE, seen=seen)
    thread.acknowledged_at = clock.now()
    _journal(session, actor, thread, verb="acknowledged")


def start_review(session: Session, *, actor: Actor, thread: Thread, seen: str) -> None:
    """Begin to weigh it. Raises Forbidden, ThreadMoved."""
    _step(actor, thread, act=Act.START_REVIEW, seen=seen)
    thread.review_started_at = clock.now()
    _journal(session, actor, thread, verb="review_started")


def decide(session: Session, *, actor: Actor, thread: Thread, seen: str, asked: Asked) -> Decision:
    """Decide a thread; the record enters the log. The caller opens a `log_transaction`.

    Raises Forbidden, ThreadMoved, Invalid with the field, UnlawfulEntry, LogTroubled.
    """
    now = clock.now()
    _must_be_sound(session, asked, today=now.date())
    earlier = find_decision(session, thread)
    _step(actor, thread, act=Act.DECIDE, seen=seen, change_state=False)
    decision = Decision(
        id=new_id("dec"),
        thread_id=thread.id,
        outcome=asked.outcome,
        until_on=asked.until_on,
        reason=asked.reason,
        weighed=asked.weighed,
        review_on=asked.review_on,
        change=asked.change,
        decided_by=actor.user_id,
        decided_at=now,
    )
    decision.entry_seq = append_record(session, thread, decision)
    if earlier is not None:
        earlier.superseded_at, earlier.superseded_by = now, decision.id
        session.flush()  # the index knows one decision in force
    session.add(decision)
    session.flush()  # the database lets no thread be decided by a record that is not there
    _settle(thread, decision, locks=asked.locks)
    about: dict[str, Any] = {"decision": decision.id, "outcome": asked.outcome.value}
    about |= {"entry": decision.entry_seq, "locked": asked.locks}
    _journal(session, actor, thread, verb="decided", **about)
    return decision


def deliver(session: Session, *, actor: Actor, thread: Thread, seen: str) -> None:
    """Say that what was decided is done. Raises Forbidden, ThreadMoved, Conflict."""
    decision = find_decision(session, thread)
    if decision is None or decision.outcome not in {Outcome.ADOPTED, Outcome.PARTLY}:
        raise Conflict("Only what was adopted, wholly or partly, can be delivered.")
    _step(actor, thread, act=Act.DELIVER, seen=seen)
    thread.delivered_at = clock.now()
    _journal(session, actor, thread, verb="delivered", decision=decision.id)


def find_decision(session: Session, thread: Thread) -> Decision | None:
    """The decision in force."""
    in_force = Decision.superseded_at.is_(None)
    return session.scalar(select(Decision).where(Decision.thread_id == thread.id, in_force))


def append_record(session: Session, thread: Thread, decision: Decision) -> int:
    """Put a decision into the log; the number of its entry. Raises UnlawfulEntry, LogTroubled."""
    recorded = decided.DecisionRecorded(
        change=decision.change,
        id=decision.id,
        outcome=decided.Outcome(decision.outcome.value),
        reason_sha256=hash_reason(record_text(decision)),
        thread=thread.number,
    )
    kind, body = decided.DECISION_RECORDED, recorded.to_wire()
    return append_entry(session, kind=kind, body=lambda _: body).seq


def _must_be_sound(session: Session, asked: Asked, *, today: date) -> None:
    if not asked.reason.strip():
        raise Invalid("Say why: everyone concerned will read it.", field="reason")
    is_deferred = asked.outcome is Outcome.DEFERRED
    if is_deferred and asked.until_on is None:
        raise Invalid("Say until when it is deferred.", field="until_on")
    if not is_deferred and asked.until_on is not None:
        raise Invalid("Only a deferred decision has such a day.", field="until_on")
    for name in ("until_on", "review_on"):
        day = getattr(asked, name)
        if day is not None and day <= today:
            raise Invalid("This day is not ahead. Choose a later one.", field=name)
    if asked.change is not None and asked.change not in full_history(session).changes:
        raise Invalid(f"There is no change {asked.change:,}.", field="change")


def _step(actor: Actor, thread: Thread, *, act: Act, seen: str, change_state: bool = True) -> None:
    """Take one step in the table of states. Raises Forbidden, Conflict, ThreadMoved."""
    if not actor.is_admin:
        raise Forbidden("Only our staff may do this.")
    if actor.user_id is None:
        raise Conflict("Only a person can decide about a thread, not a command or a job.")
    if seen != token_of(thread) or not may(act, thread):
        raise ThreadMoved
    if change_state:
        thread.state = leads_to(act)
    thread.active_at = clock.now()


def _settle(thread: Thread, decision: Decision, *, locks: bool) -> None:
    thread.decision_id, thread.state = decision.id, leads_to(Act.DECIDE)
    # The clock of the decision stopped at the first one.
    thread.decided_at = thread.decided_at or decision.decided_at
    # A reason is an answer; a click that says "seen", on the steps before, is none.
    thread.first_answer_at = thread.first_answer_at or decision.decided_at
    thread.delivered_at = None
    if locks and thread.locked_at is None:
        thread.locked_at, thread.locked_for = decision.decided_at, decision.id


def _journal(session: Session, actor: Actor, thread: Thread, *, verb: str, **details: Any) -> None:
    about = {"thread": thread.number, **details}
    record(session, actor, f"feedback:thread:{verb}", subject_id=thread.id, **about)
