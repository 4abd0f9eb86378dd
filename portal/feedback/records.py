"""Decisions whose entry the log lost: `log discard` takes away what was never signed.

The decision stays, and its record is appended anew.
"""

from sqlalchemy import select

from portal.config import Settings
from portal.core.actor import JOB
from portal.core.db import Sessions
from portal.feedback.decisions import append_record
from portal.feedback.models import Decision, Thread
from portal.transparency.signer import log_transaction


def append_missing(sessions: Sessions, settings: Settings) -> int:
    """Append the record of each decision that has none; returns how many."""
    lost = select(Decision.id).where(Decision.entry_seq.is_(None)).order_by(Decision.id)
    with sessions() as session:
        ids = list(session.scalars(lost))
    for decision_id in ids:
        with (
            sessions() as session,
            log_transaction(session, sessions, settings=settings, actor=JOB),
        ):
            decision = session.get_one(Decision, decision_id, with_for_update=True)
            if decision.entry_seq is None:
                query = select(Thread).where(Thread.id == decision.thread_id)
                thread = session.scalars(query).one()
                decision.entry_seq = append_record(session, thread, decision)
    return len(ids)
