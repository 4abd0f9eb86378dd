from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.ids import new_id
from portal.core.outbox import Message, queue_mail
from portal.operations import mails
from portal.operations.models import TEXT_MAX, Alert, FailingJob, Kind
from portal.operations.policy import STALE_AFTER, UNWATCHED_AFTER, Condition, must_hold
from portal.operations.queries import (
    EVENT,
    find_conditions,
    get_watch,
    list_open_alerts,
    list_staff,
)

Identity = tuple[Kind, str]


def note_look(session: Session) -> None:
    """Say that the jobs look. After a gap, what was silent meanwhile gets time to be heard again."""
    watch, now = get_watch(session), clock.now()
    if watch.looked_at is None or now - watch.looked_at > UNWATCHED_AFTER:
        watch.since = now
    watch.looked_at = now


def is_news(session: Session) -> bool:
    """Whether anything would be opened, told or closed now; writes nothing."""
    found, known = _found(session), list_open_alerts(session)
    opened = {(alert.kind, alert.subject) for alert in known}
    return (
        any(alert for alert in known if (alert.kind, alert.subject) not in found)
        or any(each.may_open for identity, each in found.items() if identity not in opened)
        or any(_is_due(alert, clock.now()) for alert in known)
    )


def settle(session: Session, *, url: str) -> int:
    """Open what is wrong and close what is over, each once, and queue the mails; returns how many changed.

    What is so is looked up inside the transaction: two processes at once then see the same, and the
    index decides which of them opens.
    """
    known = {
        (alert.kind, alert.subject): alert for alert in list_open_alerts(session, for_update=True)
    }
    found, now = _found(session), clock.now()
    for identity, each in found.items():
        if identity not in known and each.may_open and (alert := _insert(session, each, now)):
            known[identity] = alert
    told = [alert for identity, alert in known.items() if identity in found and _is_due(alert, now)]
    over = [alert for identity, alert in known.items() if identity not in found]
    for alert in told:
        alert.opened_at = now
        alert.told = _tell(session, alert, mails.opened, url=url)
    for alert in over:
        _close(session, alert, url=url)
    return len(told) + len(over)


def note_failure(session: Session, name: str, *, text: str) -> None:
    """Keep that a job's run raised, and since when its runs do."""
    now = clock.now()
    row = session.get(FailingJob, name, with_for_update=True)
    if row is None:
        row = FailingJob(name=name, since=now)
        session.add(row)
    elif now - row.failed_at > STALE_AFTER:
        row.since = now
    row.failed_at, row.text = now, text[:TEXT_MAX]


def is_noted(session: Session, name: str) -> bool:
    """Whether a job is kept as failing."""
    return session.get(FailingJob, name) is not None


def note_success(session: Session, name: str) -> None:
    """Forget that a job failed."""
    session.execute(delete(FailingJob).where(FailingJob.name == name))


def _found(session: Session) -> Mapping[Identity, Condition]:
    return {each.identity: each for each in find_conditions(session)}


def _is_due(alert: Alert, now: datetime) -> bool:
    return alert.opened_at is None and now - alert.since >= must_hold(alert.kind)


def _insert(session: Session, found: Condition, now: datetime) -> Alert | None:
    """The row, unless another process wrote it first: the index decides between two."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {
        "id": new_id("alr"),
        "kind": found.kind,
        "subject": found.subject,
        "name": found.name,
        "text": found.text[:TEXT_MAX],
        "since": now,
        "told": 0,
    }
    added = session.execute(
        insert(Alert).values(values).on_conflict_do_nothing().returning(Alert.id)
    ).first()
    return None if added is None else session.get_one(Alert, added.id)


def _close(session: Session, alert: Alert, *, url: str) -> None:
    if alert.opened_at is None:
        # Nobody was told, so nobody need be told that it is over.
        session.delete(alert)
        return
    alert.closed_at = clock.now()
    _tell(session, alert, mails.closed, url=url)


def _tell(session: Session, alert: Alert, letter: Callable[..., Message], *, url: str) -> int:
    staff, event = list_staff(session), f"{EVENT}{alert.id}:{letter.__name__}"
    for person in staff:
        message = letter(to=person.email, alert=alert, url=url)
        queue_mail(session, message, event=event, person=person.id)
    return len(staff)
