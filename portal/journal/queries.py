from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.journal.models import Event


def list_org_events(session: Session, *, org_id: str, limit: int = 50) -> list[Event]:
    """The newest events in one organisation, about whatever belongs to it."""
    return list(
        session.scalars(
            select(Event).where(Event.chain == org_id).order_by(Event.seq.desc()).limit(limit)
        )
    )


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


def find_event(session: Session, *, org_id: str, subject_id: str) -> Event | None:
    """An event about one subject in one organisation, where there is any."""
    return session.scalars(
        select(Event).where(Event.subject_id == subject_id, Event.org_id == org_id).limit(1)
    ).one_or_none()
