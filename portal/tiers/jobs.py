"""Planned moves whose time has come, reminders that are due, grants that are over."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import JOB
from portal.core.db import Sessions, transaction
from portal.core.errors import PortalError, Unavailable
from portal.core.jobs import Job
from portal.orgs.models import Org
from portal.tiers.grants import close_grant, remind_of_grant
from portal.tiers.models import Grant, TierMove
from portal.tiers.moves import carry_out, remind_of_move

log = logging.getLogger(__name__)

Act = Callable[[Session, Org, Any], None]


def jobs(sessions: Sessions) -> list[Job]:
    """The jobs of this slice; each looks first, without writing."""
    return [
        Job("tier moves", lambda: run_moves(sessions)),
        Job("tier reminders", lambda: _each(sessions, _moves_to_remind_of, _remind_of_move)),
        Job("grant reminders", lambda: _each(sessions, _grants_to_remind_of, _remind_of_grant)),
        Job("grants", lambda: _each(sessions, _grants_over, _close_grant)),
    ]


def run_moves(sessions: Sessions) -> int:
    """Carry out every planned move whose date has come; late where the portal was down."""
    return _each(sessions, _moves_due, _carry_out)


def _each(sessions: Sessions, due: Callable[[datetime], Select[Any]], act: Act) -> int:
    """One transaction for each row that is due, so that one that fails holds up no other."""
    with sessions() as session:
        found = [(row.id, row.org_id) for row in session.scalars(due(clock.now()))]
    done = 0
    for row_id, org_id in found:
        try:
            done += _one(sessions, (row_id, org_id), due=due, act=act)
        except Unavailable:
            raise
        except PortalError as error:
            log.warning("%s of %s is left as it is: %s", row_id, org_id, error)
    return done


def _one(
    sessions: Sessions,
    ids: tuple[str, str],
    *,
    due: Callable[[datetime], Select[Any]],
    act: Act,
) -> int:
    row_id, org_id = ids
    with sessions() as session, transaction(session):
        org = session.get_one(Org, org_id, with_for_update=True)
        # Asked again under the lock: another process, or a person, may have been here.
        query = due(clock.now())
        entity = query.column_descriptions[0]["entity"]
        row = session.scalars(query.where(entity.id == row_id).with_for_update()).one_or_none()
        if row is None:
            return 0
        act(session, org, row)
        return 1


def _moves_open() -> Select[TierMove]:
    return select(TierMove).where(TierMove.cancelled_at.is_(None), TierMove.done_at.is_(None))


def _moves_due(now: datetime) -> Select[TierMove]:
    return _moves_open().where(TierMove.effective_at <= now).order_by(TierMove.effective_at)


def _carry_out(session: Session, org: Org, move: TierMove) -> None:
    carry_out(session, actor=JOB, org=org, move=move)


def _moves_to_remind_of(now: datetime) -> Select[TierMove]:
    # What is due itself is not announced any more.
    return _moves_open().where(TierMove.remind_at <= now, TierMove.effective_at > now)


def _remind_of_move(session: Session, org: Org, move: TierMove) -> None:
    remind_of_move(session, org=org, move=move)


def _grants_to_remind_of(now: datetime) -> Select[Grant]:
    return select(Grant).where(
        Grant.ended_at.is_(None), Grant.remind_at <= now, Grant.ends_at > now
    )


def _remind_of_grant(session: Session, org: Org, row: Grant) -> None:
    remind_of_grant(session, org=org, row=row)


def _grants_over(now: datetime) -> Select[Grant]:
    return select(Grant).where(Grant.ended_at.is_(None), Grant.ends_at <= now)


def _close_grant(session: Session, org: Org, row: Grant) -> None:  # noqa: ARG001 -- as the others
    close_grant(session, actor=JOB, row=row)
