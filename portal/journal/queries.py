from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from portal.core.db import Sessions
from portal.core.paging import Order, Page, fetch_page
from portal.journal.models import Event, JournalHead
from portal.journal.words import Kind, is_of

PAGE = 50
_BATCH = 500


@dataclass(frozen=True)
class Asked:
    """Which events are looked for; empty = all. From `start` on, before `end`."""

    kind: Kind | None = None
    actor_id: str = ""
    start: datetime | None = None
    end: datetime | None = None

    @property
    def conditions(self) -> Iterator[ColumnElement[bool]]:
        if self.kind:
            yield is_of(self.kind)
        if self.actor_id:
            yield Event.actor_id == self.actor_id
        if self.start:
            yield Event.at >= self.start
        if self.end:
            yield Event.at < self.end


def get_journal_page(
    session: Session, *, org_id: str, asked: Asked, cursor: str | None = None
) -> Page[Event]:
    """A page of an organisation's journal, newest first. Raises BadCursor."""
    return fetch_page(
        session, _events(org_id, asked), order=Order(Event.seq), cursor=cursor, size=PAGE
    )


def _events(org_id: str, asked: Asked) -> Select[Event]:
    return select(Event).where(Event.chain == org_id, *asked.conditions)


def find_head(session: Session, org_id: str) -> JournalHead | None:
    """Where an organisation's chain ends."""
    return session.get(JournalHead, org_id)


def list_actors(session: Session, org_id: str) -> list[tuple[str, str]]:
    """Who has acted in an organisation: id and name, which is empty of whoever deleted their account."""
    rows = session.execute(
        select(Event.actor_id, func.max(Event.actor_name))
        .where(Event.chain == org_id, Event.actor_id.is_not(None))
        .group_by(Event.actor_id)
    )
    found = [(row[0] or "", row[1]) for row in rows]
    return sorted(found, key=lambda pair: (not pair[1], pair[1]))


def stream_events(sessions: Sessions, *, org_id: str, asked: Asked) -> Iterator[Event]:
    """An organisation's events, oldest first, as many as there are now; no transaction is held meanwhile."""
    with sessions() as session:
        head = find_head(session, org_id)
    last, until = 0, head.seq if head else 0
    query = _events(org_id, asked).where(Event.seq <= until).order_by(Event.seq).limit(_BATCH)
    while True:
        with sessions() as session:
            rows = session.scalars(query.where(Event.seq > last)).all()
        yield from rows
        if len(rows) < _BATCH:
            return
        last = rows[-1].seq


def list_org_events(session: Session, *, org_id: str, limit: int = 50) -> list[Event]:
    """The newest events in one organisation, about whatever belongs to it."""
    query = _events(org_id, Asked()).order_by(Event.seq.desc()).limit(limit)
    return list(session.scalars(query))


def list_events(session: Session, *, prefix: str, limit: int = 50) -> list[Event]:
    """The newest events whose tag begins with `prefix`."""
    return list(
        session.scalars(
            select(Event)
            .where(Event.tag.startswith(prefix, autoescape=True))
            .order_by(Event.at.desc(), Event.id.desc())
            .limit(limit)
        )
    )


def list_events_of(session: Session, user_id: str) -> Iterator[Event]:
    """What one person did, oldest first."""
    query = select(Event).where(Event.actor_id == user_id).order_by(Event.at, Event.id)
    yield from session.scalars(query.execution_options(yield_per=_BATCH))


def list_events_about(session: Session, subject_id: str, *, tag: str) -> list[Event]:
    """The acts of one kind on one subject, oldest first."""
    query = select(Event).where(Event.subject_id == subject_id, Event.tag == tag)
    return list(session.scalars(query.order_by(Event.at, Event.id)))


def find_event(session: Session, *, org_id: str, subject_id: str) -> Event | None:
    """An event about one subject in one organisation, where there is any."""
    return session.scalars(
        select(Event).where(Event.subject_id == subject_id, Event.org_id == org_id).limit(1)
    ).one_or_none()
