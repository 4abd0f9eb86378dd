"""The line of the limits page that says at how many gateways the limits of now are in force."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.seal import SyncHead
from portal.sync.commands import add_gateway, remove_gateway
from portal.sync.models import Gateway, SyncAck
from tests.support.change_files import change_file, in_days

pytestmark = pytest.mark.usefixtures("catalog", "clock")


@pytest.fixture
def enrolled(sessions):
    """Two gateways that have said nothing yet."""
    with sessions() as session, transaction(session):
        for name in ("gw-1", "gw-2"):
            add_gateway(session, actor=CLI, name=name, brand="plim")


@pytest.fixture
def acknowledge(sessions, clock):
    """A gateway says that it holds everything."""

    def acknowledge(name):
        with sessions() as session, transaction(session):
            revision = session.scalar(select(SyncHead.revision))
            gateway = session.scalars(select(Gateway).where(Gateway.name == name)).one()
            gateway.acknowledged = revision
            session.add(SyncAck(gateway_id=gateway.id, revision=revision, received_at=clock.at))

    return acknowledge


def said(visit):
    text = visit.get("/limits").text
    return text[text.index("No other change") :].partition("Show the limits")[0]


def test_without_a_gateway_nothing_is_said(visit):
    assert "gateway" not in said(visit)


def test_before_any_gateway_has_confirmed_it_says_so(visit, enrolled):
    assert "None of 2 gateways has confirmed the newest signed log yet" in said(visit)


def test_it_counts_those_that_hold_the_newest_log(visit, enrolled, acknowledge, clock):
    clock.advance(minutes=3)
    acknowledge("gw-1")

    one = said(visit)
    clock.advance(minutes=4)
    acknowledge("gw-2")
    both = said(visit)

    assert "In force at 1 of 2 gateways since 2026-11-02 12:03 UTC." in one
    assert "The other did not confirm the newest signed log yet" in one
    assert "In force at 2 of 2 gateways since 2026-11-02 12:07 UTC." in both


def test_an_announcement_makes_the_limits_of_now_no_younger(
    visit, enrolled, acknowledge, publish, clock
):
    for name in ("gw-1", "gw-2"):
        acknowledge(name)
    clock.advance(days=1)
    publish(change_file(effective_at=in_days(40)))

    behind = visit.get("/limits").text
    for name in ("gw-1", "gw-2"):
        acknowledge(name)
    text = visit.get("/limits").text

    assert "None of 2 gateways has confirmed the newest signed log yet" in behind
    assert "In force at 2 of 2 gateways since 2026-11-02 12:00 UTC." in text


def test_a_change_that_waited_at_the_gateways_is_in_force_from_its_instant(
    visit, enrolled, acknowledge, publish, clock
):
    publish(change_file(effective_at=in_days(40)))
    for name in ("gw-1", "gw-2"):
        acknowledge(name)

    clock.set(clock.at + timedelta(days=41))

    text = visit.get("/limits").text
    assert "In force at 2 of 2 gateways since 2026-12-12 12:00 UTC." in text


def test_a_gateway_that_was_removed_does_not_count(visit, enrolled, acknowledge, sessions):
    acknowledge("gw-1")
    with sessions() as session, transaction(session):
        remove_gateway(session, actor=CLI, name="gw-2")

    assert "In force at 1 of 1 gateway since" in said(visit)


def test_of_another_time_nothing_is_said_about_gateways(visit, enrolled, acknowledge):
    acknowledge("gw-1")

    assert "gateways since" not in visit.get("/limits", at="2026-12-24").text
