import pytest
from sqlalchemy import func, select

from portal.core.db import transaction
from portal.core.seal import SyncRecord
from portal.orgs.models import Org
from portal.tiers.commands import assign_tier
from portal.tiers.errors import NoticeTooShort, SameTier, UnknownTier
from portal.tiers.models import AssignmentKind, TierAssignment
from portal.tiers.queries import current_assignment, list_assignments, list_tiers

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def assign(sessions, cast):
    def act(tier, kind=AssignmentKind.MANUAL):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            assign_tier(
                session, actor=cast.root.actor, org=org, tier=tier, reason="Because.", kind=kind
            )

    return act


def test_each_step_stays_in_the_history(assign, sessions, cast):
    assign("build", AssignmentKind.AUTOMATIC)
    assign("scale", AssignmentKind.REQUEST)

    with sessions() as session:
        steps = list_assignments(session, cast.acme.id)

    assert [(step.number, step.tier, step.kind) for step in steps] == [
        (3, "scale", AssignmentKind.REQUEST),
        (2, "build", AssignmentKind.AUTOMATIC),
        (1, "start", AssignmentKind.START),
    ]


@pytest.mark.parametrize("kind", AssignmentKind)
def test_nothing_leads_down_without_notice_whatever_it_is(assign, sessions, cast, kind):
    assign("build")

    with pytest.raises(NoticeTooShort):
        assign("start", kind)

    with sessions() as session:
        assert current_assignment(session, cast.acme.id).tier == "build"


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
