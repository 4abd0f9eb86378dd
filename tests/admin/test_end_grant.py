import json
from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.tiers.grants import GrantRequest, grant
from portal.tiers.queries import list_grants
from portal.tiers.words import Identity

pytestmark = pytest.mark.usefixtures("cast", "clock")

PAGE = "/admin/orgs/acme"


@pytest.fixture
def granted(sessions, cast, clock):
    """The address at which Acme's grant is ended early."""
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        request = GrantRequest(
            limit=Identity("opus-5", "requests", "bucket", 60),
            quota=2000,
            ends_at=clock.at + timedelta(days=30),
            reason="A fair.",
        )
        row = grant(session, actor=cast.root.actor, org=org, request=request)
        return f"/admin/orgs/acme/grants/{row.id}/end"


@pytest.fixture
def row(sessions, cast):
    """Acme's only grant, as it is now."""

    def read():
        with sessions() as session:
            (found,) = list_grants(session, cast.acme.id)
            return found

    return read


def test_the_staff_ends_a_grant_early_and_gateways_hear_of_it(
    as_root, both_ways, granted, record, row, clock, cast
):
    clock.advance(days=2)
    form = as_root.get(granted).form("end-grant-form").fill(reason="Over sooner.")

    page = form.submit(htmx=both_ways.is_htmx, redirect=PAGE)

    assert page.flash == "The grant of Acme is ended."
    assert json.loads(record())["grants"] == []
    assert (row().ended_at, row().ended_by) == (clock.at, cast.root.user_id)
    shown = page.table("Grants").rows[0]
    assert shown["State"] == "Ended early"
    assert "Ended early: Over sooner." in shown["Reason"]


def test_the_owners_and_the_journal_hear_of_it(as_root, granted, outbox, journal):
    form = as_root.get(granted).form("end-grant-form").fill(reason="Over sooner.")
    form.submit(redirect=PAGE)

    event, (mail, _) = journal()[-1], outbox()
    assert mail.subject == "Acme: a grant was ended"
    assert "Over sooner." in mail.text
    assert (event.tag, event.details["reason"]) == ("org:grant:ended", "Over sooner.")


def test_a_grant_that_was_ended_is_not_ended_again(as_root, both_ways, granted, row):
    form = as_root.get(granted).form("end-grant-form").fill(reason="Over sooner.")
    form.submit(redirect=PAGE)

    page = form.fill(reason="Again.").submit(htmx=both_ways.is_htmx, status=409)

    assert "ended by root@example.com on 2026-11-02 12:00:00 UTC, before you" in page.text
    assert row().ended_reason == "Over sooner."


def test_a_grant_that_is_over_cannot_be_ended(
    as_root, both_ways, granted, clock, row, cast, client
):
    form = as_root.get(granted).form("end-grant-form").fill(reason="Too late.")
    clock.advance(days=30)
    cast.sign_in(client, cast.root)

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert "This grant was over at 2026-12-02 12:00 UTC." in page.text
    assert row().ended_at is None


@pytest.mark.parametrize("who", ["ada", "ben", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_here(
    visit, client, cast, token, granted, row, who
):
    cast.sign_in(client, getattr(cast, who))

    visit.get(granted, status=404)
    visit.post(granted, data={"csrf_token": token(), "reason": "Mine."}, status=404)

    assert row().ended_at is None


def test_it_is_found_at_its_own_organisation_only(as_root, granted):
    as_root.get(granted.replace("acme", "delta"), status=404)


@pytest.mark.parametrize("reason", ["", "x" * 501])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field_and_changes_nothing(
    as_root, both_ways, granted, row, reason
):
    form = as_root.get(granted).form("end-grant-form").fill(reason=reason)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["reason"]
    assert row().ended_at is None
