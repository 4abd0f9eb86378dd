"""Two of the staff decide at once: one wins, the other is told who and when, and nothing is done twice."""

import threading
from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.core.errors import Conflict
from portal.orgs.models import Org
from portal.tiers.errors import MovedMeanwhile
from portal.tiers.moves import TierDecision, cancel_move, decide_tier
from portal.tiers.queries import find_planned_move, get_standing, list_assignments
from tests.support.factories import actor_of, make_user

pytestmark = pytest.mark.usefixtures("cast", "clock")

ADDRESS = "/admin/orgs/acme/tier"


@pytest.fixture
def rita(sessions, cast):
    """Another of the staff."""
    with sessions() as session, transaction(session):
        return actor_of(make_user(session, email="rita@example.com", admin=True))


@pytest.fixture
def decide(sessions, cast):
    def act(actor, **values):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id, with_for_update=True)
            decision = TierDecision(**{"tier": "build", "reason": "Rita says so.", **values})
            return decide_tier(session, actor=actor, org=org, decision=decision)

    return act


MOVED = "Acme was moved to Build by rita@example.com on 2026-11-02 12:00:00 UTC, before you."
PLANNED = (
    "A move of Acme to Build on 2026-11-12 12:00:00 UTC was planned by rita@example.com "
    "on 2026-11-02 12:00:00 UTC, before you."
)


@pytest.mark.parametrize(("days", "told"), [(None, MOVED), (10, PLANNED)])
def test_the_second_is_told_who_and_when(
    as_root, both_ways, decide, rita, clock, tier, days, told, outbox
):
    form = as_root.get(ADDRESS).form("tier-form").fill(tier="scale", reason="Root says so.")
    decide(rita, effective_at=clock.at + timedelta(days=days) if days else None)
    before, mails = tier(), len(outbox())

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert told in page.text
    assert "Nothing was changed now." in page.text
    assert (tier(), len(outbox())) == (before, mails)


def test_who_cancelled_a_plan_is_told_to_who_saw_it(
    as_root, both_ways, decide, rita, clock, sessions, cast, tier
):
    decide(rita, effective_at=clock.at.replace(day=12))
    form = as_root.get(ADDRESS).form("tier-form").fill(tier="scale", reason="Root says so.")
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id, with_for_update=True)
        move = find_planned_move(session, org.id)
        cancel_move(session, actor=rita, org=org, move=move, reason="Not so.")

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert "cancelled by rita@example.com on 2026-11-02 12:00:00 UTC, before you" in page.text
    assert tier() == "start"


def test_a_form_without_what_was_seen_decides_nothing(as_root, token, tier):
    csrf = as_root.get(ADDRESS).form("tier-form").values["csrf_token"][0]
    data = {"csrf_token": csrf, "tier": "build", "reason": "Blind."}

    as_root.post(ADDRESS, data=data, status=409)

    assert tier() == "start"


def test_of_many_in_the_same_instant_one_wins(decide, rita, cast, sessions):
    with sessions() as session:
        seen = get_standing(session, cast.acme.id).token
    start, results = threading.Barrier(6), []

    def one(tier, actor):
        start.wait()
        try:
            decide(actor, tier=tier, seen=seen)
            results.append("won")
        except MovedMeanwhile as error:
            results.append(error.public)

    people = [
        (tier, actor) for tier in ("build", "scale") for actor in (rita, cast.root.actor, rita)
    ]
    threads = [threading.Thread(target=one, args=person) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert results.count("won") == 1
    assert sum("before you" in text for text in results) == 5
    with sessions() as session:
        assert len(list_assignments(session, cast.acme.id)) == 2


def test_of_two_who_plan_without_looking_the_database_lets_one_plan_stand(decide, rita, clock):
    decide(rita, effective_at=clock.at.replace(day=12))
    decide(rita, tier="scale", effective_at=clock.at.replace(day=13))

    with pytest.raises(Conflict):
        decide(rita, tier="start")
