"""Answers to forgotten passwords, and the end of network addresses that are kept no longer."""

from dataclasses import replace

from sqlalchemy import select, update

from portal.accounts import resets
from portal.accounts.leaving import list_farewells
from portal.accounts.models import UserSession
from portal.accounts.policy import ADDRESSES_KEPT
from portal.config import Settings
from portal.core import clock
from portal.core.actor import JOB, Via
from portal.core.db import Sessions, transaction
from portal.core.jobs import Job
from portal.core.outbox import forget_sent

# Whoever asked is not signed in: to the journal a person without a name.
STRANGER = replace(JOB, name="", is_admin=False, via=Via.WEB)


def jobs(sessions: Sessions, settings: Settings) -> list[Job]:
    return [
        Job("password resets", lambda: answer_resets(sessions, settings)),
        Job("farewells", lambda: forget_farewells(sessions)),
        Job("addresses of sessions", lambda: forget_addresses(sessions)),
    ]


def answer_resets(sessions: Sessions, settings: Settings) -> int:
    """Answer who has forgotten a password, oldest first; returns how many."""
    answered = 0
    while True:
        with sessions() as session:
            waiting = resets.next_reset(session)
            if waiting is None:
                return answered
            with transaction(session):
                resets.answer_reset(session, actor=STRANGER, request_id=waiting, url=settings.url)
        answered += 1


def forget_farewells(sessions: Sessions) -> int:
    """Erase the last mail to whoever deleted their account, once it has left; returns how many."""
    with sessions() as session:
        return forget_sent(session, events=list_farewells(session))


def forget_addresses(sessions: Sessions) -> int:
    """Erase the network addresses of sessions that were last seen too long ago; returns how many."""
    old = (UserSession.ip.is_not(None), UserSession.seen_at <= clock.now() - ADDRESSES_KEPT)
    with sessions() as session:
        # A pass that finds nothing must not write, or it would wake the next.
        if session.scalar(select(UserSession.digest).where(*old).limit(1)) is None:
            return 0
        with transaction(session):
            done = session.execute(update(UserSession).where(*old).values(ip=None))
            return int(done.rowcount)  # type: ignore[attr-defined]
