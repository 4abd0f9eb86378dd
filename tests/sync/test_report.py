import pytest

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.sync import commands
from portal.sync.policy import GatewayState
from portal.sync.queries import list_gateways
from tests.support.wire import Copy


@pytest.fixture
def gateway(sessions):
    def read():
        with sessions() as session:
            return list_gateways(session)[0]

    return read


def test_a_report_with_the_present_cursor_acknowledges_it(wire, catalog, gateway):
    response = wire.report(wire.pull(Copy()).cursor)

    assert response.json["acknowledged"] == gateway().acknowledged
    assert gateway().behind == 0


def test_a_cursor_of_another_history_is_no_acknowledgement(wire, catalog, gateway):
    response = wire.report(f"{'0' * 32}.1.00000000")

    assert response.json == {"acknowledged": None}
    assert gateway().acknowledged is None


def test_a_cursor_before_a_rebuild_no_longer_counts(wire, sessions, catalog, gateway):
    cursor = wire.pull(Copy()).cursor
    with sessions() as session, transaction(session):
        commands.rebuild(session, actor=CLI)

    assert wire.report(cursor).json == {"acknowledged": None}


def test_health_and_nacks_are_kept_for_the_staff(wire, catalog, gateway):
    nack = {"kind": "key", "id": "key_1", "code": "unreadable", "text": "?"}

    wire.report(None, health={"version": "0.1.0", "nested": {"no": 1}}, nacks=[nack])

    assert gateway().health == {"version": "0.1.0"}
    assert gateway().nacks == [nack]


def test_a_long_complaint_is_cut_and_does_not_cost_the_acknowledgement(wire, catalog, gateway):
    nack = {"kind": "key", "id": "key_1", "code": "unreadable", "text": "?" * 5000}

    assert wire.report(wire.pull(Copy()).cursor, nacks=[nack]).status_code == 200

    assert gateway().behind == 0
    assert gateway().nacks == [nack | {"text": "?" * 200}]


def test_a_report_of_ten_megabytes_is_too_large(app, wire, catalog):
    body = b" " * 10_000_000
    response = app.test_client().post("/sync/v1/report", data=body, headers=wire.headers())

    assert response.status_code == 413


def test_a_silent_gateway_becomes_late_and_then_lost(wire, catalog, gateway, clock):
    assert gateway().state is GatewayState.NEW
    wire.report(None)
    states = [gateway().state]
    for seconds in (16, 300):
        clock.advance(seconds=seconds)
        states.append(gateway().state)

    assert states == [GatewayState.CONNECTED, GatewayState.LATE, GatewayState.LOST]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cursor": 7}, "cursor"),
        ({"nacks": "no"}, "nacks"),
        ({"nacks": [{"kind": "key"}]}, "nacks"),
        ({"health": []}, "health"),
    ],
)
def test_a_report_of_another_shape_is_refused_with_the_field(wire, catalog, gateway, body, field):
    response = wire.report(None, **body) if "cursor" not in body else wire.report(body["cursor"])

    assert response.status_code == 422
    assert response.json["field"] == field
    assert gateway().seen_at is None


@pytest.mark.parametrize(
    "body", ["{", '{"health": {"lag_ms": NaN}}', '{"health": {"version": "\\ud800"}}']
)
def test_a_report_that_could_not_be_kept_or_shown_is_refused(app, wire, catalog, gateway, body):
    """PostgreSQL takes no NaN, no page half a character; neither may fail the reports beside it."""
    response = app.test_client().post("/sync/v1/report", data=body, headers=wire.headers())

    assert response.status_code == 422
    assert gateway().seen_at is None


def test_a_report_without_a_token_is_refused(app, wire, catalog):
    response = app.test_client().post("/sync/v1/report", json={}, headers={"Sync-Version": "1"})

    assert response.status_code == 401
