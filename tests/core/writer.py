"""Suspends and lifts organisations as fast as it can: what the tests of the seal run at once.

`python -m tests.core.writer DATABASE_URL TIMES` does so in a process of its own.
"""

import sys

from sqlalchemy import select

from portal.core.actor import CLI
from portal.core.db import Sessions, make_engine, make_sessions, transaction
from portal.orgs.commands import lift_suspension, suspend_org
from portal.orgs.models import Org
from tests.support.worlds import register_records


def write(sessions: Sessions, times: int) -> None:
    """Turn the suspension of Acme and Delta around, both in one act, `times` times."""
    for _ in range(times):
        with sessions() as session, transaction(session):
            for org in session.scalars(select(Org).order_by(Org.id).with_for_update()):
                turn = lift_suspension if org.suspended_at else suspend_org
                turn(session, actor=CLI, org=org, reason="Turned around.")


if __name__ == "__main__":
    register_records()
    write(make_sessions(make_engine(sys.argv[1]), strict=True), int(sys.argv[2]))
