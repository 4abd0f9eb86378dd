import json
from datetime import timedelta

import pytest

from portal.accounts.models import User
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.ids import new_id
from portal.keys.commands import pause_key, revoke_key
from portal.keys.models import ApiKey, Environment
from portal.orgs.commands import suspend_org
from portal.orgs.models import Org
from portal.sync.commands import rebuild
from tests.support.clocks import START
from tests.support.factories import PASSWORD, make_key, make_org, make_user
from tests.support.wire import Copy, Wire, enrol
from tests.support.worlds import SAMPLE, publish

KEYS = "/orgs/acme/keys"


def test_without_keys_the_page_names_the_next_step(as_ada):
    page = as_ada.get(KEYS)

    assert page.h1 == "API keys"
    assert "0 live keys of the 25 that your tier, Start, allows" in page.text
    assert page.link("Issue your first key") == f"{KEYS}/new"


def test_before_the_address_is_confirmed_the_next_step_is_to_confirm_it(as_ada, sessions, cast):
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).email_confirmed_at = None

    page = as_ada.get(KEYS)

    assert "First confirm your address" in page.text
    assert "Issue your first key" not in page.text


def test_a_full_list_says_what_to_do(as_ada, issue):
    for number in range(25):
        issue(name=f"Key {number}")

    page = as_ada.get(KEYS)

    assert "25 live keys of the 25" in page.text
    assert "revoke one that you no longer use" in page.text


def test_each_key_shows_its_state_and_never_its_secret(clock, as_ada, issue):
    issued = issue(name="Soon over", expires_at=START + timedelta(hours=1))
    issue(name="Steady")
    clock.advance(hours=1)
    # Browsers' sessions outlive this hour.
    page = as_ada.get(KEYS)

    table = page.table("The keys of Acme")
    assert table.row("Soon over")["State"] == "Expired"
    assert table.row("Steady")["State"] == "Active"
    assert issued.secret.text not in page.html


def test_a_viewer_sees_the_list_but_not_the_way_to_issue(visit, client, cast, issue):
    issue()
    cast.sign_in(client, cast.cleo)

    page = visit.get(KEYS)

    assert "Issue a key" not in page.main.get_text()


def test_an_outsider_finds_nothing(visit, client, cast):
    cast.sign_in(client, cast.dan)

    visit.get(KEYS, status=404)


@pytest.fixture
def unlimited(settings, sessions):
    """Acme and its owner's address, under a catalogue whose tiers set no maximum of keys."""
    catalog = json.loads(SAMPLE.read_text())
    for tier in catalog["tiers"]:
        tier["keys_max"] = None
    publish(sessions, settings, catalog)
    with sessions() as session, transaction(session):
        owner = make_user(session)
        return make_org(session, name="Acme", owner=owner), owner.email


def test_the_number_of_queries_does_not_grow_with_the_keys(
    unlimited, sessions, visit, count_queries
):
    org, email = unlimited
    visit.get("/login").form().fill(email=email, password=PASSWORD).submit(redirect="/")
    with sessions() as session, transaction(session):
        make_key(session, org=org)
    visit.get(KEYS)
    with count_queries() as one:
        visit.get(KEYS)
    add_keys(sessions, org, 999)

    with count_queries() as thousand:
        page = visit.get(KEYS)
    last = visit.get(KEYS, htmx=True, page=10)

    assert "sets no maximum" in page.text
    assert "Keys 1 to 100 of 1,000." in page.text
    assert len(page.soup.select("tbody tr")) == 100
    assert len(thousand) == len(one)
    assert "Keys 901 to 1,000 of 1,000." in last.text
    assert page.link("Older →") == f"{KEYS}?page=2"
    assert "Older →" not in last.text


def add_keys(sessions, org, count):
    """Rows as `issue_key` writes them, without asking the rules for each; a thousand in a second."""
    with sessions() as session, transaction(session):
        first = session.query(ApiKey).filter_by(org_id=org.id).first()
        values = {"org_id": org.id, "prefix": "plim_live_aaaa", "environment": Environment.LIVE}
        values |= {"created_by": first.created_by}
        for number in range(count):
            own = {"id": new_id("key"), "name": f"Bulk {number}", "name_folded": f"bulk {number}"}
            own |= {"digest": f"{number:064x}", "last_four": f"{number:04}"}
            session.add(ApiKey(**values, **own, lineage=own["id"]))


WORKING = {"Straße 1", "100% sure", "Try-out"}
SEARCHES = [
    ({"q": "STRASSE"}, {"Straße 1"}),
    ({"q": "aße 1"}, {"Straße 1"}),
    ({"q": "100%"}, {"100% sure"}),
    ({"q": "_"}, set()),
    ({"q": "p"}, {"Paused"}),
    ({"q": "plim_live_"}, set()),
    ({"state": "paused"}, {"Paused"}),
    ({"state": "expired"}, {"Over"}),
    ({"state": "revoked"}, {"Gone"}),
    ({"state": "active"}, WORKING),
    ({"environment": "test"}, {"Try-out"}),
    ({"environment": "test", "state": "revoked"}, set()),
    ({"state": "no such", "page": "x"}, WORKING | {"Paused", "Over", "Gone"}),
]


def test_the_list_is_searched_and_filtered(clock, as_ada, both_ways, kinds):
    for asked, found in SEARCHES:
        page = as_ada.get(KEYS, htmx=both_ways.is_htmx, **asked)

        rows = page.table("The keys of Acme").rows if found else []
        assert {row["Name"].removesuffix(" Test") for row in rows} == found, asked
        assert found or "No key of Acme matches." in page.text


@pytest.fixture
def kinds(clock, issue, sessions, cast):
    """A key of each kind, in Acme, after an hour."""
    for name in ("Straße 1", "100% sure"):
        issue(name=name)
    issue(name="Over", expires_at=START + timedelta(minutes=30))
    with sessions() as session, transaction(session):
        paused, gone = (issue_in(session, cast, name) for name in ("Paused", "Gone"))
        issue_in(session, cast, "Try-out", environment=Environment.TEST)
        pause_key(session, actor=cast.ada.actor, key=paused)
        revoke_key(session, actor=cast.ada.actor, key=gone, reason="Over.")
    clock.advance(hours=1)


def issue_in(session, cast, name, **values):
    org = session.get_one(Org, cast.acme.id)
    return make_key(session, org=org, actor=cast.ada.actor, name=name, **values).key


def test_a_key_is_found_by_what_the_list_shows_of_it(as_ada, issue):
    key = issue(name="Mine").key
    issue(name="Other")

    for text in (key.prefix, key.last_four, f"{key.prefix}…{key.last_four}"):
        assert [row["Name"] for row in as_ada.get(KEYS, q=text).table("The keys of Acme").rows] == [
            "Mine"
        ]


def test_a_test_key_is_marked_wherever_it_stands(as_ada, issue):
    key = issue(name="Try-out", environment=Environment.TEST).key

    assert as_ada.get(KEYS).table("The keys of Acme").row("Try-out")["Name"] == "Try-out Test"
    assert "It is a test key." in as_ada.get(f"{KEYS}/{key.id}").text


def test_the_receipt_names_the_gateways_that_hold_a_revocation(clock, app, sessions, as_ada, issue):
    key = issue(name="Billing").key
    wire = Wire(app, enrol(sessions, "gw-eu-1"))
    clock.advance(seconds=1)
    form = as_ada.get(f"{KEYS}/{key.id}/revoke").form("revoke").fill(reason="Leaked.")
    page = form.submit(redirect=f"{KEYS}/{key.id}")
    assert "0 of 1 gateways" in page.text
    assert "gw-eu-1 has never been heard of and may still accept the key" in page.text

    clock.advance(milliseconds=30)
    wire.report(wire.pull(Copy()).cursor)

    assert "1 of 1 gateways, 0.03 s: all of them refuse it." in as_ada.get(f"{KEYS}/{key.id}").text


def test_an_incomplete_receipt_asks_again_by_itself_for_some_seconds_only(
    clock, app, sessions, as_ada, issue
):
    enrol(sessions)
    clock.advance(seconds=1)
    key = issue().key

    fragment = as_ada.get(f"{KEYS}/{key.id}", htmx=True)
    last = as_ada.get(f"{KEYS}/{key.id}", htmx=True, looks=20)

    assert fragment.link("Look again").endswith("looks=1")
    assert "Look again" not in last.text


def test_the_key_of_a_suspended_organisation_is_not_said_to_work(sessions, cast, as_ada, issue):
    key = issue().key
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        suspend_org(session, actor=cast.root.actor, org=org, reason="Unpaid.")

    page = as_ada.get(f"{KEYS}/{key.id}")

    assert "Acme is suspended" in as_ada.get(KEYS).text
    assert "Gateways refuse this key while Acme is suspended." in page.text
    assert "This key works." not in page.text


def test_a_receipt_survives_a_rebuild(sessions, as_ada, issue):
    key = issue().key
    with sessions() as session, transaction(session):
        rebuild(session, actor=CLI)

    assert as_ada.get(f"{KEYS}/{key.id}").h1 == key.name
