"""Promotion by itself, woken by each commit."""

import logging
import time
from datetime import datetime, timedelta

from sqlalchemy import true
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import JOB
from portal.core.db import Sessions, transaction
from portal.core.errors import PortalError, Unavailable
from portal.core.jobs import Job
from portal.orgs.models import Org
from portal.transparency.queries import policy
from portal.upgrades.promotion import (
    Target,
    find_candidates,
    find_promotion,
    find_touched,
    list_targets,
    promote,
)

log = logging.getLogger(__name__)

# A look at all organisations may take this share of the time; a commit is followed by a look at
# those that it can concern.
SHARE = 0.01
# What began before the last look and was committed after it is seen by the next.
OVERLAP = timedelta(seconds=60)


def jobs(sessions: Sessions) -> list[Job]:
    """The job of this slice; it looks first, without writing."""
    return [Job("promotions", Promoter(sessions).run)]


class Promoter:
    """Promotes whoever meets what a higher tier requires, at a cost that does not grow with their number.

    What a look has seen is kept in memory only: a process that starts begins with a look at all.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._targets: list[Target] = []
        self._looked_at: datetime | None = None
        self._all_again_at = 0.0
        self._failed: set[str] = set()

    def run(self) -> int:
        """Promote every organisation that is due; returns how many it were."""
        with self._sessions() as session:
            now = clock.now()
            targets = list_targets(policy(session, clock.timestamp()))
            found = self._find(session, targets, now=now) if targets else []
        self._failed, done = set(), 0
        for org_id in found:
            done += self._promote(org_id)
        self._targets, self._looked_at = targets, now
        return done

    def _find(self, session: Session, targets: list[Target], *, now: datetime) -> list[str]:
        began = time.monotonic()
        if targets == self._targets and self._looked_at and began < self._all_again_at:
            touched = find_touched(session, targets, (self._looked_at - OVERLAP, now))
            if touched is not None:
                ids = touched | self._failed
                if not ids:
                    return []
                return find_candidates(session, targets, now, among=Org.id.in_(ids))
        found = find_candidates(session, targets, now, among=true())
        self._all_again_at = began + (time.monotonic() - began) / SHARE
        return found

    def _promote(self, org_id: str) -> bool:
        """One transaction for each, so that one that fails holds up no other."""
        try:
            return _promote(self._sessions, org_id)
        except Unavailable:
            raise
        except PortalError as error:
            log.warning("%s is not promoted: %s", org_id, error)
            self._failed.add(org_id)
            return False


def promote_all(sessions: Sessions) -> int:
    """One look at all organisations; returns how many were promoted."""
    return Promoter(sessions).run()


def _promote(sessions: Sessions, org_id: str) -> bool:
    with sessions() as session:
        # A transaction that finds nothing to do would wake this job again.
        if find_promotion(session, session.get_one(Org, org_id)) is None:
            return False
        with transaction(session):
            # Asked again under the lock: another process, or a person, may have been here.
            org = session.get_one(Org, org_id, with_for_update=True, populate_existing=True)
            return promote(session, actor=JOB, org=org) is not None
