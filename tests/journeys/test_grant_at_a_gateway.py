"""A grant at the real gateway: raised at its start, over at its end, also with the portal out of reach."""

from datetime import timedelta

import pytest

from plimsoll.gateway import Gateway
from plimsoll.testing import ManualClock
from portal.core.db import transaction
from portal.orgs.models import Org
from portal.tiers.grants import GrantRequest, end_grant, grant
from portal.tiers.queries import current_grants
from portal.tiers.words import Identity
from tests.support.factories import make_key
from tests.support.product import eventually
from tests.support.wire import enrol

HOUR = 3600


@pytest.fixture
def give(sessions, cast, clock):
    """Grant Acme requests to Fable 5 from some seconds ahead until others."""

    def act(quota, *, starts, ends):
        request = GrantRequest(
            limit=Identity("fable-5", "requests", "bucket", 60),
            quota=quota,
            starts_at=clock.at + timedelta(seconds=starts),
            ends_at=clock.at + timedelta(seconds=ends),
            reason="A fair.",
        )
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            grant(session, actor=cast.root.actor, org=org, request=request)

    return act


@pytest.fixture
def secret(sessions, cast, clock):
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        return make_key(session, org=org, actor=cast.ada.actor).secret.text


@pytest.fixture
def gateway_clock(clock):
    return ManualClock(clock.at.timestamp())


@pytest.fixture
def opened(served, sessions, tmp_path, gateway_clock):
    """A gateway with a clock of its own; a second call opens the same store again."""
    token = enrol(sessions)

    def open_gateway():
        return Gateway(tmp_path / "gw", portal_url=served, token=token, clock=gateway_clock)

    return open_gateway


def quota(gateway, secret):
    limits = gateway.enforcer.check(secret, model="fable-5", input_tokens=1, max_tokens=1).limits
    return next((each.quota for each in limits if each.metric == "requests"), None)


def test_a_grant_begins_and_ends_at_its_instants_at_a_gateway_that_is_cut_off(
    give, secret, opened, gateway_clock
):
    give(5000, starts=HOUR, ends=2 * HOUR)
    with opened() as gateway:
        eventually(lambda: quota(gateway, secret) == 1000)
        gateway.follower.close()

        seen = []
        for seconds in (HOUR - 1, 1, HOUR - 1, 1):
            gateway_clock.advance(seconds)
            seen.append(quota(gateway, secret))

    assert seen == [1000, 5000, 5000, 1000]


def test_it_ends_too_at_a_gateway_that_was_started_again_without_its_portal(
    give, secret, opened, gateway_clock, served, app
):
    give(5000, starts=0, ends=HOUR)
    with opened() as gateway:
        eventually(lambda: quota(gateway, secret) == 5000)
    gateway = opened()  # never started: it hears nothing
    try:
        before = quota(gateway, secret)
        gateway_clock.advance(HOUR)

        assert (before, quota(gateway, secret)) == (5000, 1000)
    finally:
        gateway.close()


def test_a_grant_ended_early_ends_at_the_gateway_at_once(
    give, secret, opened, sessions, cast, clock
):
    give(5000, starts=0, ends=HOUR)
    with opened() as gateway:
        eventually(lambda: quota(gateway, secret) == 5000)
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            (row,) = current_grants(session, org.id, clock.at)
            end_grant(session, actor=cast.root.actor, org=org, row=row, reason="Over.")

        assert eventually(lambda: quota(gateway, secret) == 1000)
