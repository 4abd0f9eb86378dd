"""Promotion by itself, woken by each commit."""

import logging

from sqlalchemy import true

from portal.core import clock
from portal.core.actor import JOB
from portal.core.db import Sessions, transaction
from portal.core.errors import PortalError, Unavailable
from portal.core.jobs import Job
from portal.orgs.models import Org
from portal.transparency.queries import policy
from portal.upgrades.promotion import find_candidates, find_promotion, list_targets, promote

log = logging.getLogger(__name__)


def jobs(sessions: Sessions) -> list[Job]:
    """The job of this slice; it looks first, without writing."""
    return [Job("promotions", lambda: promote_all(sessions))]


def promote_all(sessions: Sessions) -> int:
    """Promote every organisation that meets what a higher tier requires; returns how many it were."""
    with sessions() as session:
        targets = list_targets(policy(session, clock.timestamp()))
        found = find_candidates(session, targets, clock.now(), among=true())
    return sum(_promote(sessions, org_id) for org_id in found)


def _promote(sessions: Sessions, org_id: str) -> bool:
    """One transaction for each, so that one that fails holds up no other."""
    try:
        with sessions() as session:
            # A transaction that finds nothing to do would wake this job again.
            if find_promotion(session, session.get_one(Org, org_id)) is None:
                return False
            with transaction(session):
                # Asked again under the lock: another process, or a person, may have been here.
                org = session.get_one(Org, org_id, with_for_update=True, populate_existing=True)
                return promote(session, actor=JOB, org=org) is not None
    except Unavailable:
        raise
    except PortalError as error:
        log.warning("%s is not promoted: %s", org_id, error)
        return False
