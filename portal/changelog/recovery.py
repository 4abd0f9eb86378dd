"""What `log recover` gives back to the changelog: numbers and ids, which the log holds; not the words."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plimsoll.contract import canonical
from plimsoll.contract.rules import ANNOUNCED
from portal.changelog.models import Change
from portal.changelog.progress import get_progress
from portal.core import clock
from portal.transparency.models import LogEntry, LogHead

DAY = 86_400


def restore_changes(session: Session) -> None:
    """Add the row of each signed change that has none, and tell nobody anew what is long told."""
    known = set(session.scalars(select(Change.number)))
    signed = select(LogHead.size).scalar_subquery()
    announced = select(LogEntry.seq, LogEntry.text).where(
        LogEntry.kind == ANNOUNCED, LogEntry.seq < signed
    )
    bodies = [(seq, canonical.decode(text)["body"]) for seq, text in session.execute(announced)]
    for seq, body in bodies:
        if body["change"] not in known:
            change = Change(number=body["change"], id=body["id"], entry_seq=seq, created_by=None)
            session.add(change)
    _count_as_told(session)
    session.flush()  # the same transaction goes on to read them


def _count_as_told(session: Session) -> None:
    """What readers knew before the database was lost, though the backup does not know that they do.

    Whoever signed the last entry was there to remind until then. What is younger than a day may not
    have been handed over yet: it is told again, since twice is better than not at all.
    """
    signed = LogEntry.seq < select(LogHead.size).scalar_subquery()
    before = select(func.max(LogEntry.seq)).where(signed, LogEntry.at <= clock.timestamp() - DAY)
    last_told = session.scalar(before)
    last_at = session.scalar(select(func.max(LogEntry.at)).where(signed))
    progress = get_progress(session, for_update=True)
    progress.size = max(progress.size, 0 if last_told is None else last_told + 1)
    progress.reminded_until = max(progress.reminded_until, last_at or 0)
    session.add(progress)
