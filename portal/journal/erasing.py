"""What ends by itself or on demand: network addresses after 90 days, and all that names a person who is gone.

None of it stands under the hash, so that the chain holds afterwards as before.
"""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.db import Sessions, transaction
from portal.core.jobs import Job
from portal.journal.commands import PERSONAL
from portal.journal.models import Event

ADDRESSES_KEPT = timedelta(days=90)
_BATCH = 1000


def jobs(sessions: Sessions) -> list[Job]:
    return [Job("addresses in the journal", lambda: forget_addresses(sessions))]


def forget_addresses(sessions: Sessions) -> int:
    """Erase network addresses that are kept no longer, some at a time; returns how many."""
    old = (Event.ip.is_not(None), Event.at <= clock.now() - ADDRESSES_KEPT)
    due, done = select(Event.id).where(*old).order_by(Event.at).limit(_BATCH), 0
    while True:
        with sessions() as session:
            # Looked at first: a pass that finds nothing must not write, or it would wake the next.
            ids = session.scalars(due).all()
            if not ids:
                return done
            with transaction(session):
                session.execute(update(Event).where(Event.id.in_(ids)).values(ip=None))
            done += len(ids)


def forget_person(session: Session, *, user_id: str, addresses: Collection[str]) -> None:
    """Erase name, mail and network addresses of one person; the id stays, and so do their acts.

    `addresses`: what others wrote of them under, as a member or as somebody whom they invited.
    """
    acted = update(Event).where(Event.actor_id == user_id)
    session.execute(acted.values(actor_name="", ip=None))
    told = update(Event).where(Event.personal.is_not(None))
    of_them = or_(Event.subject_id == user_id, *_naming(addresses))
    session.execute(told.where(of_them).values(personal=None))
    # What they did before they were signed in: the form held their address already.
    unnamed = update(Event).where(Event.subject_id == user_id, Event.actor_id.is_(None))
    session.execute(unnamed.values(actor_name="", ip=None))


def _naming(addresses: Collection[str]) -> list[ColumnElement[bool]]:
    # The whole value: "ann@example.com" must not erase what was written of "joann@example.com".
    named = [address.lower() for address in addresses]
    return [func.lower(Event.personal[name].as_string()).in_(named) for name in sorted(PERSONAL)]
