import pytest

from portal.core.db import transaction
from portal.orgs.commands import suspend_org

pytestmark = pytest.mark.usefixtures("cast", "clock")

ADDRESS = "/admin/orgs/acme/lift"


@pytest.fixture
def suspended(sessions, acme, cast):
    with sessions() as session, transaction(session):
        org = session.merge(acme())
        suspend_org(session, actor=cast.root.actor, org=org, reason="Unpaid.")


def test_the_staff_lifts_a_suspension(as_root, both_ways, suspended, acme, record):
    form = as_root.get(ADDRESS).form("lift-form").fill(reason="Paid.")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/admin/orgs/acme")

    assert page.flash == "Acme is no longer suspended. Its keys work again."
    assert (acme().suspended_at, acme().suspended_reason) == (None, None)
    assert '"state":"active"' in record()


def test_the_journal_keeps_both_reasons_and_the_owners_are_told(
    as_root, suspended, journal, outbox
):
    as_root.get(ADDRESS).form("lift-form").fill(reason="Paid.").submit(redirect="/admin/orgs/acme")

    tags = [event.tag for event in journal()][-2:]

    assert "org:lifted" in tags
    assert journal()[-1].details == {"reason": "Paid."}
    assert outbox()[0].subject == "Acme is no longer suspended"


def test_what_is_not_suspended_is_not_lifted(as_root, both_ways, outbox):
    form = as_root.get(ADDRESS).form("lift-form").fill(reason="Paid.")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "is not suspended" in page.text
    assert outbox() == []


@pytest.mark.parametrize("who", ["ada", "ben", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_here(
    visit, client, cast, token, suspended, acme, who
):
    cast.sign_in(client, getattr(cast, who))

    visit.get(ADDRESS, status=404)
    visit.post(ADDRESS, data={"csrf_token": token(), "reason": "Mine."}, status=404)

    assert acme().suspended_at


@pytest.mark.parametrize("reason", ["", "x" * 501])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field_and_changes_nothing(
    as_root, both_ways, suspended, acme, reason
):
    form = as_root.get(ADDRESS).form("lift-form").fill(reason=reason)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["reason"]
    assert acme().suspended_at
