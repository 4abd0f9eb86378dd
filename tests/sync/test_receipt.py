from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from portal.sync import commands
from portal.sync.queries import get_receipt
from tests.support.factories import make_key
from tests.support.wire import Copy, Wire, enrol


@pytest.fixture
def key(sessions, cast):
    with sessions() as session, transaction(session):
        return make_key(session, org=session.get_one(Org, cast.acme.id), actor=cast.ada.actor).key


@pytest.fixture
def receipt(sessions, key):
    def read():
        with sessions() as session:
            return get_receipt(session, "key", key.id)

    return read


def revoke(sessions, cast, key):
    with sessions() as session, transaction(session):
        row = session.get_one(ApiKey, key.id, with_for_update=True)
        revoke_key(session, actor=cast.ada.actor, key=row, reason="Lost.")


def test_without_gateways_a_receipt_waits_for_nobody(receipt):
    assert receipt().acknowledgements == []
    assert receipt().is_complete


def test_a_receipt_counts_the_gateways_that_acknowledged_and_how_long_they_took(
    clock, app, sessions, cast, key, receipt
):
    wires = [Wire(app, enrol(sessions, name)) for name in ("gw-1", "gw-2")]
    revoke(sessions, cast, key)
    clock.advance(milliseconds=210)
    wires[0].report(wires[0].pull(Copy()).cursor)

    assert (receipt().count, receipt().seconds) == ("1 of 2 gateways", "0.21")
    assert [line.gateway for line in receipt().waiting] == ["gw-2"]
    assert not receipt().is_complete


def test_a_receipt_keeps_the_first_acknowledgement(clock, sessions, cast, key, wire, receipt):
    revoke(sessions, cast, key)
    clock.advance(seconds=1)
    wire.report(wire.pull(Copy()).cursor)
    clock.advance(seconds=60)
    wire.report(wire.pull(Copy()).cursor)

    assert receipt().acknowledgements[0].took == timedelta(seconds=1)


def test_an_acknowledgement_of_an_earlier_revision_does_not_count(
    clock, sessions, cast, key, wire, receipt
):
    cursor = wire.pull(Copy()).cursor
    revoke(sessions, cast, key)

    wire.report(cursor)

    assert receipt().count == "0 of 1 gateways"


def test_a_gateway_enrolled_later_or_removed_before_is_not_waited_for(
    clock, sessions, cast, key, receipt
):
    enrol(sessions, "gone")
    with sessions() as session, transaction(session):
        commands.remove_gateway(session, actor=cast.root.actor, name="gone")
    clock.advance(seconds=1)
    revoke(sessions, cast, key)
    clock.advance(seconds=1)
    enrol(sessions, "later")

    assert receipt().acknowledgements == []


def test_a_gateway_removed_afterwards_stays_on_the_receipt(clock, sessions, cast, key, receipt):
    enrol(sessions, "gw-1")
    revoke(sessions, cast, key)
    clock.advance(seconds=1)
    with sessions() as session, transaction(session):
        commands.remove_gateway(session, actor=cast.root.actor, name="gw-1")

    assert receipt().count == "0 of 1 gateways"
