"""How far readers were told: one row, written only when it moves."""

from sqlalchemy.orm import Session

from portal.changelog.models import MailProgress
from portal.core.db import Sessions, transaction

ROW_ID = 1


def get_progress(session: Session, *, for_update: bool = False) -> MailProgress:
    """The row; it is there from the first migration on."""
    return session.get_one(MailProgress, ROW_ID, with_for_update=for_update)


def advance(sessions: Sessions, **to: int) -> None:
    """Note how far readers were told; another process may have come further."""
    with sessions() as session, transaction(session):
        row = get_progress(session, for_update=True)
        for name, value in to.items():
            setattr(row, name, max(value, getattr(row, name)))
