import pytest

from tests.support.wire import Copy, Wire, enrol

GATEWAYS = "/admin/gateways"


@pytest.fixture
def as_root(visit, client, cast):
    cast.sign_in(client, cast.root)
    return visit


def test_without_gateways_the_page_says_that_nothing_is_enforced(as_root):
    page = as_root.get(GATEWAYS)

    assert "nothing enforces the published limits yet" in page.text
    assert "gateways add" in page.text


def test_each_gateway_shows_how_it_is(app, sessions, as_root, clock):
    wire = Wire(app, enrol(sessions, "gw-eu-1"))
    enrol(sessions, "gw-us-1")
    wire.report(wire.pull(Copy()).cursor, health={"version": "0.1.0", "counters": "local"})

    page = as_root.get(GATEWAYS)

    assert "1 of 2 gateways connected; 1 hold the newest state" in page.text
    table = page.table("Enrolled gateways")
    assert table.row("gw-eu-1")["State"] == "Connected"
    assert "version 0.1.0" in table.row("gw-eu-1")["Reports"]
    assert table.row("gw-us-1")["Last heard"] == "never"


def test_what_a_gateway_could_not_read_is_shown(app, sessions, as_root):
    nack = {"kind": "key", "id": "key_1", "code": "unreadable", "text": "?"}
    Wire(app, enrol(sessions)).report(None, nacks=[nack])

    assert "1 record not understood" in as_root.get(GATEWAYS).text


def test_two_gateways_that_count_for_themselves_are_said_to_on_both_pages(app, sessions, as_root):
    for name, said in (("gw-1", False), ("gw-2", True)):
        Wire(app, enrol(sessions, name)).report(None, health={"counters": "local"})

        for address in (GATEWAYS, "/limits"):
            text = as_root.get(address).text
            assert ("Enforced per gateway: up to 2 times the limit" in text) is said


def test_gateways_that_count_together_are_not_said_to_count_for_themselves(app, sessions, as_root):
    for name in ("gw-1", "gw-2"):
        Wire(app, enrol(sessions, name)).report(None, health={"counters": "shared"})

    for address in (GATEWAYS, "/limits"):
        assert "Enforced per gateway" not in as_root.get(address).text


def test_a_customer_finds_nothing(visit, client, cast):
    cast.sign_in(client, cast.ada)

    visit.get(GATEWAYS, status=404)
