from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.keys.commands import set_rules
from portal.keys.models import ApiKey
from portal.keys.policy import Rules
from portal.keys.queries import get_rules
from portal.keys.rotation import Rotation, rotate_key
from portal.orgs.models import Org, Role
from tests.support.clocks import START

PAGE = "/orgs/acme/settings/keys"
NEW = "/orgs/acme/keys/new"


@pytest.fixture
def rules(sessions, cast):
    def read():
        with sessions() as session:
            return get_rules(session, cast.acme.id)

    return read


@pytest.fixture
def rule(sessions, cast):
    """Make a rule of Acme's."""

    def make(**values):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            set_rules(session, actor=cast.ada.actor, org=org, rules=Rules(**values))

    return make


def test_rules_are_kept_and_the_journal_tells_before_and_after(as_ada, both_ways, rules, journal):
    form = as_ada.get(PAGE).form("key_rules")
    form.fill(max_days="90", expiry_required=True, issuers="manager", pause_leaked=True)

    page = form.submit(htmx=both_ways.is_htmx, redirect=PAGE)

    wanted = Rules(max_days=90, expiry_required=True, issuers=Role.MANAGER, pause_leaked=True)
    assert rules() == wanted
    assert page.form("key_rules").values["max_days"] == ["90"]
    (event,) = [event for event in journal() if event.tag == "org:key_rules:changed"]
    assert (event.details["before"]["max_days"], event.details["after"]["max_days"]) == (None, 90)


def test_only_who_manages_the_organisation_makes_rules(turned_away, visit, client, cast, rules):
    turned_away(PAGE, {"issuers": "owner"})
    cast.sign_in(client, cast.ben)
    visit.get(PAGE, status=403)

    assert rules() == Rules()


def test_bad_input_is_said_beside_its_field_and_no_rule_is_made(as_ada, both_ways, rules):
    for field, value in [("max_days", "0"), ("max_days", "3661"), ("issuers", "viewer")]:
        form = as_ada.get(PAGE).form("key_rules").fill({field: value})

        page = form.submit(htmx=both_ways.is_htmx, status=422)

        assert page.errors[field]
    assert rules() == Rules()


def test_a_new_key_keeps_to_the_longest_life(clock, as_ada, rule):
    rule(max_days=30)
    page = as_ada.get(NEW)
    latest = START + timedelta(days=30)

    endless = page.form("new_key").fill(name="A").submit(status=422)
    late = f"{latest + timedelta(minutes=1):%Y-%m-%dT%H:%M}"
    too_long = page.form("new_key").fill(name="A", expires_at=late).submit(status=422)
    page.form("new_key").fill(name="A", expires_at=f"{latest:%Y-%m-%dT%H:%M}").submit()

    assert f"at the latest {latest:%Y-%m-%d %H:%M} UTC" in page.text
    assert "a key lives for at most 30 days. Choose an end." in endless.errors["expires_at"]
    assert f"up to {latest:%Y-%m-%d %H:%M} UTC" in too_long.errors["expires_at"]


def test_a_compulsory_end_holds_for_successors_too(clock, as_ada, rule, key, now):
    rule(expiry_required=True)
    form = as_ada.get(f"/orgs/acme/keys/{key.id}/rotate").form("rotate")

    refused = form.submit(status=422)
    form.fill(expires_at="2031-01-01T00:00").submit()

    assert "each key has an end" in refused.errors["expires_at"]
    assert now(now().successor_id).expires_at.year == 2031


def test_who_may_issue_is_said_and_kept_by_pages_and_command(
    visit, client, cast, sessions, rule, key, issue
):
    rule(issuers=Role.OWNER)
    cast.sign_in(client, cast.ben)

    listed = visit.get("/orgs/acme/keys")
    page = visit.get(f"/orgs/acme/keys/{key.id}")
    refused = visit.get(NEW, status=403)
    visit.get(f"/orgs/acme/keys/{key.id}/rotate", status=403)

    assert "Issue a key" not in listed.main.get_text()
    assert "Rotate" not in page.main.get_text()
    assert "owners issue and rotate keys here" in refused.text
    with pytest.raises(PortalError) as stopped, sessions() as session:
        issue_or_rotate(session, cast, key)
    assert stopped.value.code == "not_an_issuer"


def issue_or_rotate(session, cast, key):
    with transaction(session):
        org, row = session.get_one(Org, cast.acme.id), session.get_one(ApiKey, key.id)
        rotation = Rotation(grace_seconds=0)
        rotate_key(session, actor=cast.ben.actor, org=org, key=row, brand="plim", rotation=rotation)


def test_keys_from_before_a_rule_go_on_and_are_counted(as_ada, rule, issue):
    for _ in range(2):
        issue()
    rule(max_days=30)

    assert "2 live keys would not be issued like this today." in as_ada.get(PAGE).text
