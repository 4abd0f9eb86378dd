"""Where a person is signed in: listed, ended, and noted when last seen."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from portal.accounts.devices import describe
from portal.accounts.models import User, UserSession
from portal.accounts.policy import SESSION_LASTS
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import NotFound
from portal.core.secrets import digest
from portal.journal.commands import record

# Each note is a write, and each write wakes the jobs: so a browser is not noted at each page.
SEEN_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class SessionRow:
    """One browser in which a person is signed in."""

    id: str
    device: str
    ip: str | None
    seen_at: datetime
    created_at: datetime
    is_this: bool


def list_sessions(session: Session, *, user_id: str, session_id: str) -> list[SessionRow]:
    """The live sessions of a person, this one first, then by when they were last seen."""
    this = digest(session_id)
    rows = session.scalars(
        select(UserSession).where(UserSession.user_id == user_id, *_live())
    ).all()
    rows = sorted(rows, key=lambda row: (row.digest == this, row.seen_at), reverse=True)
    return [
        SessionRow(
            id=row.id,
            device=describe(row.user_agent),
            ip=row.ip,
            seen_at=row.seen_at,
            created_at=row.created_at,
            is_this=row.digest == this,
        )
        for row in rows
    ]


def end_one(session: Session, *, actor: Actor, user: User, row_id: str) -> None:
    """End one session of a locked person; one that has ended already is no error. Raises NotFound."""
    row = session.scalar(
        select(UserSession).where(UserSession.user_id == user.id, UserSession.id == row_id)
    )
    if row is None:
        raise NotFound
    if row.ended_at is None:
        row.ended_at = clock.now()
        device = describe(row.user_agent)
        record(session, actor, "user:session:ended", subject_id=user.id, device=device)


def end_others(session: Session, *, actor: Actor, user: User, session_id: str) -> int:
    """End every session of a locked person but this one; says how many."""
    rows = session.scalars(
        select(UserSession).where(
            UserSession.user_id == user.id, UserSession.digest != digest(session_id), *_live()
        )
    ).all()
    for row in rows:
        row.ended_at = clock.now()
    if rows:
        record(session, actor, "user:sessions:ended", subject_id=user.id, count=len(rows))
    return len(rows)


def note_seen(session: Session, *, session_id: str, ip: str | None) -> None:
    """Note that a browser was seen now, from where."""
    seen = update(UserSession).where(
        UserSession.digest == digest(session_id), UserSession.ended_at.is_(None)
    )
    session.execute(seen.values(seen_at=clock.now(), ip=ip))


def _live() -> tuple[ColumnElement[bool], ...]:
    return UserSession.ended_at.is_(None), UserSession.created_at > clock.now() - SESSION_LASTS
