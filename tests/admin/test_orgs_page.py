import pytest

from portal.core.db import transaction
from portal.transparency.models import LogHead
from tests.support.factories import make_org

pytestmark = pytest.mark.usefixtures("cast", "clock")


def test_the_staff_sees_every_organisation_with_owner_tier_and_state(as_root):
    table = as_root.get("/admin/orgs").table("Organisations")

    row = table.row("Acme")

    assert (row["Owner"], row["Tier"], row["State"]) == ("ada@example.com", "Start", "Active")
    assert table.row("Delta")["Owner"] == "dan@example.com"


@pytest.mark.parametrize("search", ["acm", "ACME", "ada@"])
def test_a_search_looks_at_name_address_and_owner(as_root, both_ways, search):
    form = as_root.get("/admin/orgs").form("Search").fill(q=search)

    page = form.submit(htmx=both_ways.is_htmx)

    assert [row["Name"] for row in page.table("Organisations").rows] == ["Acme"]


@pytest.mark.parametrize("search", ["%", "_", "'; DROP TABLE orgs; --", "x" * 5000])
def test_a_search_finds_what_is_written_and_nothing_else(as_root, search):
    page = as_root.get("/admin/orgs", q=search)

    assert "Nothing found" in page.text


def test_the_list_takes_as_many_queries_for_one_as_for_many(as_root, sessions, count_queries):
    as_root.get("/admin/orgs")
    with count_queries() as few:
        as_root.get("/admin/orgs")
    with sessions() as session, transaction(session):
        for _ in range(20):
            make_org(session)

    with count_queries() as many:
        as_root.get("/admin/orgs")

    assert len(many) == len(few)


def test_an_organisations_page_tells_its_story(as_root):
    page = as_root.get("/admin/orgs/acme")

    assert page.facts["Owner"] == "ada@example.com (confirmed)"
    assert page.table("Tiers so far").rows[0]["Reason"] == "Where everyone begins."
    assert page.table("Journal").row("org:created")["Who"].startswith("ada@example.com")


def test_trouble_with_the_log_is_shown_to_the_staff(as_root, sessions):
    with sessions() as session, transaction(session):
        session.get_one(LogHead, 1).trouble = "The copy is ahead of the database."

    for address in ("/admin/orgs", "/admin/orgs/acme"):
        assert "The copy is ahead of the database." in as_root.get(address).text


@pytest.mark.parametrize("address", ["/admin/", "/admin/orgs", "/admin/orgs/acme"])
def test_to_everyone_else_there_is_nothing_here(visit, client, cast, address):
    visit.get(address, redirect=f"/login?next={address}")
    cast.sign_in(client, cast.ada)

    visit.get(address, status=404)


def test_the_staff_without_an_organisation_begins_here(as_root):
    assert as_root.get("/", redirect="/admin/orgs").h1 == "Organisations"
