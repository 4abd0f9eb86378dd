"""What `log recover` gives back to the changelog: numbers and ids, which the log holds; not the words."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import canonical
from plimsoll.contract.rules import ANNOUNCED
from portal.changelog.models import Change
from portal.transparency.models import LogEntry, LogHead


def restore_changes(session: Session) -> int:
    """Add the row of each signed change that has none; returns how many."""
    known = set(session.scalars(select(Change.number)))
    signed = select(LogHead.size).scalar_subquery()
    announced = select(LogEntry.seq, LogEntry.text).where(
        LogEntry.kind == ANNOUNCED, LogEntry.seq < signed
    )
    bodies = [(seq, canonical.decode(text)["body"]) for seq, text in session.execute(announced)]
    lost = [(seq, body) for seq, body in bodies if body["change"] not in known]
    for seq, body in lost:
        session.add(Change(number=body["change"], id=body["id"], entry_seq=seq, created_by=None))
    session.flush()  # the same transaction goes on to read them
    return len(lost)
