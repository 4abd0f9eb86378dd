import pytest
from sqlalchemy import func, select

from portal.core.db import transaction
from portal.core.seal import SyncRecord
from portal.orgs.models import Org
from portal.tiers import commands
from portal.tiers.errors import SameTier, UnknownTier
from portal.tiers.models import TierAssignment
from portal.tiers.queries import list_assignments, list_tiers

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def assign(sessions, cast):
    def act(tier, reason="Because."):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            commands.assign_tier(session, actor=cast.root.actor, org=org, tier=tier, reason=reason)

    return act


def test_each_step_stays_in_the_history(assign, sessions, cast):
    assign("build")
    assign("scale")
    assign("start")

    with sessions() as session:
        steps = list_assignments(session, cast.acme.id)

    assert [(step.number, step.tier) for step in steps] == [
        (4, "start"),
        (3, "scale"),
        (2, "build"),
        (1, "start"),
    ]


def test_gateways_are_sent_the_newest_tier(assign, sessions, cast):
    assign("build")

    with sessions() as session:
        data = session.get_one(SyncRecord, ("org", cast.acme.id)).data

    assert data == '{"grants":[],"state":"active","tier":"build"}'


@pytest.mark.parametrize(("tier", "error"), [("start", SameTier), ("nope", UnknownTier)])
def test_a_refused_step_leaves_nothing_behind(assign, sessions, outbox, tier, error):
    with pytest.raises(error):
        assign(tier)

    with sessions() as session:
        assert session.scalar(select(func.max(TierAssignment.number))) == 1
    assert outbox() == []


def test_tiers_are_listed_by_rank(sessions, catalog):
    with sessions() as session:
        assert [tier.slug for tier in list_tiers(session)] == ["start", "build", "scale"]
