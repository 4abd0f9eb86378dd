"""Telling people that a key ends soon: 30, 7 and 1 days before, and each time once."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.db import Sessions, transaction
from portal.core.jobs import Job
from portal.core.outbox import queue_mail
from portal.keys import mails
from portal.keys.models import ApiKey, KeyLastUse
from portal.keys.policy import next_notice
from portal.keys.queries import people_to_tell
from portal.orgs.models import Org


def jobs(sessions: Sessions, *, url: str) -> list[Job]:
    """The job of this slice; `url` is the portal's, for links."""
    return [Job("key notices", lambda: tell_all(sessions, url=url))]


def tell_all(sessions: Sessions, *, url: str) -> int:
    """Tell of every key whose notice is due; returns how many keys it were."""
    with sessions() as session:
        # Looked at without a transaction: a pass that finds nothing must not write.
        due = session.scalars(select(ApiKey.id).where(*_is_due())).all()
    done = 0
    for key_id in due:
        with sessions() as session, transaction(session):
            # Asked again under the lock: another process, or a person, may have been here.
            query = select(ApiKey).where(ApiKey.id == key_id, *_is_due())
            key = session.scalar(query.with_for_update())
            done += _tell(session, key, url=url) if key else 0
    return done


def _is_due() -> tuple[ColumnElement[bool], ...]:
    now = clock.now()
    return ApiKey.remind_at <= now, ApiKey.expires_at > now, ApiKey.revoked_at.is_(None)


def _tell(session: Session, key: ApiKey, *, url: str) -> int:
    due, end = key.remind_at, key.expires_at
    assert due is not None  # noqa: S101 -- only what is due is told
    assert end is not None  # noqa: S101 -- else nothing is due
    key.remind_at = next_notice(end, after=clock.now())
    org, use = session.get_one(Org, key.org_id), session.get(KeyLastUse, key.id)
    named = name_key(key, org, url=url)
    for person in people_to_tell(session, key):
        message = mails.ends_soon(
            to=person.email,
            key=named,
            expires_at=end,
            was_rotated=key.successor_id is not None,
            used_at=use.at if use else None,
        )
        queue_mail(session, message, event=f"{key.id}:{int(due.timestamp())}", person=person.id)
    return 1


def name_key(key: ApiKey, org: Org, *, url: str) -> mails.KeyNamed:
    """How mails name a key."""
    return mails.KeyNamed(
        org=org.name,
        name=key.name,
        shown=f"{key.prefix}…{key.last_four}",
        url=f"{url}/orgs/{org.slug}/keys/{key.id}",
    )
