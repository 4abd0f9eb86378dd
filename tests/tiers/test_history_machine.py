"""Any history of assignments, plans and grants: one tier at a time, no hole, and the gateway agrees at each step."""

import itertools
import threading
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from plimsoll.gateway import Gateway
from portal.core.actor import JOB
from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.factory import create_app
from portal.journal.models import Event
from portal.orgs.models import Org
from portal.serve import Server
from portal.tiers.grants import GrantRequest, end_grant, grant
from portal.tiers.jobs import jobs
from portal.tiers.models import AssignmentKind, TierMove
from portal.tiers.moves import TierDecision, cancel_move, decide_tier
from portal.tiers.queries import current_grants, find_planned_move, list_assignments
from portal.tiers.words import Identity
from tests.support.machine import PeopledMachine
from tests.support.product import eventually
from tests.support.wire import enrol

RANKS = {"start": 1, "build": 2, "scale": 3}
NOTICE = timedelta(days=30)
TIERS = st.sampled_from(list(RANKS))
OPUS = Identity("opus-5", "requests", "bucket", 60)


class Histories(PeopledMachine):
    """The real portal with a real gateway behind it, beside a model of a few lines."""

    def __init__(self):
        super().__init__()
        server = Server(
            create_app(self.settings, sessions=self.sessions), host="127.0.0.1", port=0, threads=8
        )
        server.start()
        self.stack.callback(server.stop)
        url = f"http://127.0.0.1:{server.port}"
        gateway = Gateway(self.folder / "gw", portal_url=url, token=enrol(self.sessions))
        self.replica = self.stack.enter_context(gateway).replica
        self.tiers: list[str] = ["start"]
        self.planned: tuple[str, datetime] | None = None

    # ---- what may happen ----

    @rule(tier=TIERS, for_abuse=st.booleans(), days=st.sampled_from([None, 1, 10, 30]))
    def decide(self, tier, for_abuse, days):
        at = None if days is None else self.clock.at + timedelta(days=days)
        decision = TierDecision(tier=tier, reason="Drawn.", effective_at=at, for_abuse=for_abuse)
        lowers = RANKS[tier] < RANKS[self.tiers[-1]] and not for_abuse
        lawful = tier != self.tiers[-1] and not (lowers and (days or 0) < NOTICE.days)

        assert self._decide(decision) is lawful

        if lawful:
            self.planned = (tier, at) if at else None
            self.tiers += [] if at else [tier]

    @rule(tier=TIERS)
    def promote(self, tier):
        decision = TierDecision(tier=tier, reason="Earned.", kind=AssignmentKind.AUTOMATIC)
        lawful = RANKS[tier] > RANKS[self.tiers[-1]] and self.planned is None

        assert self._decide(decision) is lawful

        self.tiers += [tier] if lawful else []

    def _decide(self, decision):
        try:
            with self.sessions() as session, transaction(session):
                org = self._org(session)
                decide_tier(session, actor=self.cast.root.actor, org=org, decision=decision)
        except PortalError:
            return False
        return True

    @precondition(lambda self: self.planned)
    @rule()
    def cancel(self):
        with self.sessions() as session, transaction(session):
            org = self._org(session)
            move = find_planned_move(session, org.id)
            cancel_move(session, actor=self.cast.root.actor, org=org, move=move, reason="Drawn.")
        self.planned = None

    @rule(quota=st.integers(10_001, 20_000), days=st.integers(1, 20))
    def give(self, quota, days):
        request = GrantRequest(
            limit=OPUS,
            quota=quota,
            ends_at=self.clock.at + timedelta(days=days),
            reason="Drawn.",
            anyway=True,
        )
        with self.sessions() as session, transaction(session):
            grant(session, actor=self.cast.root.actor, org=self._org(session), request=request)

    @rule()
    def end_grants(self):
        with self.sessions() as session, transaction(session):
            org = self._org(session)
            for row in current_grants(session, org.id, self.clock.at):
                end_grant(session, actor=JOB, org=org, row=row, reason="Drawn.")

    @rule(days=st.integers(1, 25), at_once=st.booleans())
    def time_passes(self, days, at_once):
        self.clock.advance(days=days)
        self._run_jobs(workers=2 if at_once else 1)
        if self.planned and self.planned[1] <= self.clock.at:
            self.tiers.append(self.planned[0])
            self.planned = None

    def _run_jobs(self, workers):
        def work():
            for job in jobs(self.sessions):
                job.run()

        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    def _org(self, session):
        return session.get_one(Org, self.cast.acme.id, with_for_update=True)

    # ---- what always holds ----

    @invariant()
    def the_history_has_no_hole_and_no_step_in_place(self):
        with self.sessions() as session:
            steps = list_assignments(session, self.cast.acme.id)[::-1]
            told = session.scalar(
                select(func.count()).where(
                    Event.tag == "org:tier:assigned", Event.org_id == self.cast.acme.id
                )
            )
        assert [step.number for step in steps] == list(range(1, len(steps) + 1))
        assert [step.tier for step in steps] == self.tiers
        assert all(one.tier != next_.tier for one, next_ in itertools.pairwise(steps))
        assert told == len(steps) - 1

    @invariant()
    def at_most_one_move_is_planned(self):
        with self.sessions() as session:
            rows = session.scalars(select(TierMove).where(TierMove.org_id == self.cast.acme.id))
            found = [(row.tier, row.effective_at) for row in rows if row.is_open]
        assert found == ([self.planned] if self.planned else [])

    @invariant()
    def the_gateway_agrees(self):
        with self.sessions() as session:
            grants = {
                row.raises for row in current_grants(session, self.cast.acme.id, self.clock.at)
            }

        def agrees():
            org = self.replica.org(self.cast.acme.id)
            return (
                org is not None
                and org.record.tier == self.tiers[-1]
                and set(org.record.grants) == grants
            )

        assert eventually(agrees)


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        ("sqlite", 2),
        pytest.param("sqlite", 15, marks=pytest.mark.long),
        pytest.param("postgresql", 6, marks=pytest.mark.long),
    ],
)
def test_assignments_moves_and_grants_agree_with_their_model_and_with_the_gateway(
    worlds, kind, examples
):
    machine = type("Machine", (Histories,), {"worlds": worlds, "database": kind})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            # Each step waits for a real gateway: making a failure smaller would take minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
