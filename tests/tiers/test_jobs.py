"""The jobs of tiers: twice, at once, and with one row that fails."""

import threading
from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.core.errors import Conflict
from portal.orgs.models import Org
from portal.tiers import jobs as tier_jobs
from portal.tiers.commands import assign_tier
from portal.tiers.errors import MoveAhead
from portal.tiers.grants import GrantRequest, grant
from portal.tiers.jobs import jobs, run_moves
from portal.tiers.models import AssignmentKind
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.queries import list_assignments
from portal.tiers.words import Identity

WORKERS = 4


@pytest.fixture
def plan(sessions, cast, clock):
    """Plan a move to Build in ten days."""

    def act(organisation):
        at = clock.at + timedelta(days=10)
        with sessions() as session, transaction(session):
            org = session.get_one(Org, organisation.id)
            decision = TierDecision(tier="build", reason="They grow.", effective_at=at)
            decide_tier(session, actor=cast.root.actor, org=org, decision=decision)

    return act


@pytest.fixture
def steps(sessions):
    def read(organisation):
        with sessions() as session:
            return [step.tier for step in list_assignments(session, organisation.id)]

    return read


@pytest.fixture
def at_once():
    """Call a function in several threads at the same time; what each returned."""

    def run(act):
        start, results = threading.Barrier(WORKERS), []

        def one():
            start.wait()
            results.append(act())

        threads = [threading.Thread(target=one) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return results

    return run


def test_run_by_many_at_once_a_move_is_made_once(
    plan, at_once, steps, sessions, cast, clock, outbox
):
    plan(cast.acme)
    clock.advance(days=10)

    results = at_once(lambda: run_moves(sessions))

    assert sorted(results) == [0, 0, 0, 1]
    assert steps(cast.acme) == ["build", "start"]
    assert [mail.subject for mail in outbox()].count("Acme is now on Build") == 1


def test_run_by_many_at_once_a_reminder_is_sent_once(at_once, sessions, cast, clock, outbox):
    limit = Identity("opus-5", "requests", "bucket", 60)
    ends_at = clock.at + timedelta(days=30)
    request = GrantRequest(limit=limit, quota=2000, ends_at=ends_at, reason="A fair.")
    with sessions() as session, transaction(session):
        grant(
            session, actor=cast.root.actor, org=session.get_one(Org, cast.acme.id), request=request
        )
    clock.advance(days=23)

    results = at_once(lambda: sum(job.run() for job in jobs(sessions)))

    assert sum(results) == 1
    assert [mail.subject for mail in outbox()].count("Acme: a grant ends on 2026-12-02") == 1


def test_a_move_that_fails_holds_up_no_other(
    plan, steps, sessions, cast, clock, monkeypatch, caplog
):
    plan(cast.acme)
    plan(cast.delta)
    clock.advance(days=10)
    carry_out = tier_jobs.carry_out

    def failing(session, *, actor, org, move):
        if org.id == cast.acme.id:
            raise Conflict("not today")
        carry_out(session, actor=actor, org=org, move=move)

    monkeypatch.setattr(tier_jobs, "carry_out", failing)

    run_moves(sessions)

    assert (steps(cast.acme), steps(cast.delta)) == (["start"], ["build", "start"])
    assert "not today" in caplog.text


def test_what_happens_by_itself_does_not_go_past_a_plan(plan, sessions, cast, steps):
    plan(cast.acme)

    with pytest.raises(MoveAhead), sessions() as session, transaction(session):
        assign_tier(
            session,
            actor=cast.root.actor,
            org=session.get_one(Org, cast.acme.id),
            tier="scale",
            reason="Earned.",
            kind=AssignmentKind.AUTOMATIC,
        )

    assert steps(cast.acme) == ["start"]
