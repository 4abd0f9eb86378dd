"""Acts on many organisations: chosen, previewed, done row by row."""

import pytest
from sqlalchemy import select

from portal.admin import bulk_rows
from portal.core.db import transaction
from portal.orgs.commands import suspend_org
from portal.orgs.models import Org
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.queries import current_tiers
from tests.support.factories import make_org, make_user

pytestmark = pytest.mark.usefixtures("cast", "clock")

ORGS = "/admin/orgs"
TIER = "/admin/bulk/tier"
MESSAGE = "/admin/bulk/message"


@pytest.fixture
def tiers(sessions):
    """Each organisation's tier, by slug."""

    def read():
        with sessions() as session:
            orgs = {org.id: org.slug for org in session.scalars(select(Org))}
            return {orgs[org_id]: tier for org_id, tier in current_tiers(session, orgs).items()}

    return read


@pytest.fixture
def move(sessions, cast):
    """Put an organisation on a tier, past the pages."""

    def act(slug, tier, **values):
        with sessions() as session, transaction(session):
            org = session.scalars(select(Org).where(Org.slug == slug)).one()
            decision = TierDecision(tier=tier, reason="Before.", **values)
            decide_tier(session, actor=cast.root.actor, org=org, decision=decision)

    return act


@pytest.fixture
def choose(as_root, cast):
    """Tick organisations in the list, and go on to one of the two acts."""

    def go(*orgs, to=TIER, **values):
        form = as_root.get(ORGS).form("choose").fill(org=[org.id for org in orgs], **values)
        if to != TIER:
            form.tag["action"] = form.tag.select_one(f'button[formaction="{to}"]')["formaction"]
        return form.submit()

    return go


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"tier": "build"}, ["Acme"]),
        ({"tier": "start"}, ["Delta"]),
        ({"state": "suspended"}, ["Delta"]),
        ({"state": "active"}, ["Acme"]),
        ({"tier": "start", "state": "active"}, []),
        ({"q": "dan@", "tier": "start", "state": "suspended"}, ["Delta"]),
        ({"tier": "'; --", "state": "none of these"}, []),
    ],
)
def test_the_list_is_filtered_by_tier_and_state(
    as_root, both_ways, move, sessions, cast, asked, found
):
    move("acme", "build")
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.delta.id)
        suspend_org(session, actor=cast.root.actor, org=org, reason="Unpaid.")

    page = as_root.get(ORGS, htmx=both_ways.is_htmx, **asked)

    names = [row["Name"] for row in page.table("Organisations").rows] if found else []
    assert names == found
    assert ("Nothing found" in page.text) is not bool(found)


def test_a_tier_is_assigned_to_those_that_were_ticked(choose, cast, tiers, journal, outbox):
    form = choose(cast.acme, cast.delta).form("bulk-tier-form").fill(tier="build", reason="A gift.")
    preview = form.submit()
    assert tiers() == {"acme": "start", "delta": "start"}
    assert preview.table("Organisations").row("Acme")["What happens"] == "Start → Build"

    page = preview.form("bulk-tier-act").submit()

    assert "Done for 2 organisations." in page.text
    assert page.table("Results").row("Acme")["Details"] == "Is on Build now."
    assert tiers() == {"acme": "build", "delta": "build"}
    events = [event for event in journal() if event.tag == "org:tier:assigned"]
    assert {event.org_id for event in events} == {cast.acme.id, cast.delta.id}
    assert len({event.details["batch"] for event in events}) == 1
    assert {mail.to for mail in outbox()} == {cast.ada.email, cast.dan.email}


def test_all_that_match_are_those_that_the_filter_finds(as_root, tiers):
    form = as_root.get(ORGS, q="delta").form("choose").fill(all=True)

    preview = form.submit().form("bulk-tier-form").fill(tier="build", reason="A gift.").submit()
    preview.form("bulk-tier-act").submit()

    assert tiers() == {"acme": "start", "delta": "build"}


def test_more_than_can_be_done_at_once_are_said_to_be_left_out(as_root, sessions, monkeypatch):
    monkeypatch.setattr("portal.admin.bulk.BULK_MAX", 3)
    with sessions() as session, transaction(session):
        for _ in range(4):
            make_org(session)

    page = as_root.get(ORGS).form("choose").fill(all=True).submit()

    assert "These are the first 3; 3 more match." in page.text
    assert len(page.form("bulk-tier-form").values["row"]) == 3


def test_the_preview_says_what_each_goes_without_and_which_is_refused(choose, cast, move, tiers):
    move("acme", "scale")
    form = choose(cast.acme, cast.delta).form("bulk-tier-form").fill(tier="build", reason="So.")

    table = form.submit().table("Organisations")

    assert "30 days' notice are promised" in table.row("Acme")["What happens"]
    assert table.row("Delta")["What happens"] == "Start → Build"
    preview = form.fill(for_abuse=True).submit()
    assert "For abuse" in preview.text
    row = preview.table("Organisations").row("Acme")
    assert row["What happens"] == "Scale → Build"
    assert "Opus 5 · requests per minute: 10,000 → 5,000." in list(row.values())[2]


def test_those_that_are_refused_in_the_preview_are_left_as_they_are(choose, cast, move, tiers):
    move("acme", "scale")
    form = choose(cast.acme, cast.delta).form("bulk-tier-form").fill(tier="build", reason="So.")

    page = form.submit().form("bulk-tier-act").submit()

    assert [row["Organisation"] for row in page.table("Results").rows] == ["Delta"]
    assert tiers() == {"acme": "scale", "delta": "build"}


def test_a_row_that_somebody_else_moved_meanwhile_fails_alone_and_says_who(
    choose, cast, move, tiers
):
    form = choose(cast.acme, cast.delta).form("bulk-tier-form").fill(tier="build", reason="So.")
    preview = form.submit()
    move("delta", "scale")

    page = preview.form("bulk-tier-act").submit()

    assert "Done for 1 organisation; not for 1, which says why." in page.text
    details = page.table("Results").row("Delta")["Details"]
    assert "moved to Scale by root@example.com" in details
    assert tiers() == {"acme": "build", "delta": "scale"}


def test_a_row_that_fails_unexpectedly_keeps_no_other_from_it(
    choose, cast, tiers, monkeypatch, caplog
):
    form = choose(cast.acme, cast.delta).form("bulk-tier-form").fill(tier="build", reason="So.")
    preview = form.submit()
    load = bulk_rows.get_org_by_id_as_admin

    def broken(session, actor, org_id, *, for_update=False):
        if for_update and org_id == cast.acme.id:
            raise RuntimeError("a cable was pulled")
        return load(session, actor, org_id, for_update=for_update)

    monkeypatch.setattr(bulk_rows, "get_org_by_id_as_admin", broken)

    page = preview.form("bulk-tier-act").submit()

    assert "Something went wrong on our side" in page.text
    assert "cable" not in page.text
    assert "cable" in caplog.text
    assert tiers() == {"acme": "start", "delta": "build"}


def test_sent_twice_it_is_done_once(choose, cast, outbox):
    form = choose(cast.acme).form("bulk-tier-form").fill(tier="build", reason="So.")
    act = form.submit().form("bulk-tier-act")
    act.submit()

    page = act.submit()

    assert "Done for 0 organisations; not for 1" in page.text
    assert len(outbox()) == 1


def test_a_date_and_a_reason_of_two_lines_survive_the_preview(choose, cast, journal):
    form = choose(cast.acme).form("bulk-tier-form")
    form.fill(tier="build", reason="One.\nTwo.", effective_at="2026-11-20T12:00:30Z")

    page = form.submit().form("bulk-tier-act").submit()

    assert "Moves to Build on 2026-11-20 12:00:30 UTC." in page.text
    assert journal()[-1].details["reason"] == "One.\nTwo."


def test_the_owners_get_the_message_once_however_often_it_is_sent(choose, cast, outbox, journal):
    form = choose(cast.acme, cast.delta, to=MESSAGE).form("bulk-message-form")
    preview = form.fill(subject="Maintenance", text="On Monday.\n\nAt noon.").submit()
    assert outbox() == []
    assert "On Monday." in preview.text

    first = preview.form("bulk-message-act").submit()
    again = preview.form("bulk-message-act").submit()

    assert first.table("Results").row("Acme")["Details"] == "1 owner told."
    assert again.table("Results").row("Acme")["Details"] == "The owners have this message already."
    assert sorted(mail.to for mail in outbox()) == [cast.ada.email, cast.dan.email]
    assert outbox()[0].text.startswith("On Monday.\n\nAt noon.\n\nYou receive this as an owner of")
    events = [event for event in journal() if event.tag == "org:owners:messaged"]
    assert [event.details for event in events] == [{"subject": "Maintenance"}] * 2


def test_with_nothing_ticked_the_list_says_so(as_root):
    for address in (TIER, MESSAGE):
        page = as_root.get(address, redirect=f"{ORGS}?q=&tier=&state=")

        assert page.flash == "Tick at least one organisation first."


@pytest.mark.parametrize(
    ("to", "name", "field", "values"),
    [
        (TIER, "bulk-tier-form", "tier", {"reason": "So."}),
        (TIER, "bulk-tier-form", "tier", {"tier": "made-up", "reason": "So."}),
        (TIER, "bulk-tier-form", "reason", {"tier": "build"}),
        (
            TIER,
            "bulk-tier-form",
            "effective_at",
            {"tier": "build", "reason": "So.", "effective_at": "?"},
        ),
        (MESSAGE, "bulk-message-form", "subject", {"text": "So."}),
        (MESSAGE, "bulk-message-form", "subject", {"text": "So.", "subject": "x" * 121}),
        (MESSAGE, "bulk-message-form", "subject", {"text": "So.", "subject": "a\nBcc: b"}),
        (MESSAGE, "bulk-message-form", "text", {"subject": "So."}),
        (MESSAGE, "bulk-message-form", "text", {"subject": "So.", "text": "x" * 5001}),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field_and_changes_nothing(
    choose, cast, tiers, outbox, as_root, to, name, field, values
):
    form = choose(cast.acme, to=to).form(name).fill(values)

    page = form.submit(status=422)
    assert list(page.errors) == [field]
    # What a preview carries is not believed either.
    data = {"csrf_token": form.values["csrf_token"][0], "row": cast.acme.id, **values}
    assert list(as_root.post(to, data=data, status=422).errors) == [field]

    assert (tiers()["acme"], outbox()) == ("start", [])


@pytest.mark.parametrize("row", ["", "org_x", "org_" + "0" * 26 + ":", "x" * 500])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_rows_that_no_page_made_are_no_rows(choose, cast, as_root, row, tiers):
    token = choose(cast.acme).form("bulk-tier-form").values["csrf_token"][0]
    data = {"csrf_token": token, "tier": "build", "reason": "So.", "row": row}

    as_root.post(TIER, data=data, status=422)
    as_root.post(f"{TIER}/preview", data=data, status=422)

    assert tiers()["acme"] == "start"


def test_an_organisation_that_is_not_there_is_a_result_of_its_own(choose, cast, as_root):
    token = choose(cast.acme).form("bulk-tier-form").values["csrf_token"][0]
    gone = "org_" + "0" * 26
    data = {
        "csrf_token": token,
        "tier": "build",
        "reason": "So.",
        "row": [gone, f"{cast.acme.id}:1"],
    }

    page = as_root.post(TIER, data=data)

    assert [row["Result"] for row in page.table("Results").rows] == ["Not done", "Done"]


@pytest.mark.parametrize("who", ["ada", "ben", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_here(
    visit, client, cast, token, tiers, outbox, who
):
    cast.sign_in(client, getattr(cast, who))
    data = {"csrf_token": token(), "tier": "scale", "reason": "Mine.", "subject": "x", "text": "x"}
    data["row"] = f"{cast.acme.id}:1"

    for address in (TIER, MESSAGE):
        visit.get(address, org=cast.acme.id, status=404)
        visit.post(address, data=data, status=404)
        visit.post(f"{address}/preview", data=data, status=404)

    assert (tiers()["acme"], outbox()) == ("start", [])


def test_an_owner_of_two_organisations_gets_a_mail_for_each(sessions, as_root, outbox):
    with sessions() as session, transaction(session):
        owner = make_user(session, email="two@example.com")
        for name in ("Two A", "Two B"):
            make_org(session, name=name, owner=owner)
    form = as_root.get(ORGS, q="two@").form("choose").fill(all=True)
    form.tag["action"] = MESSAGE

    preview = form.submit().form("bulk-message-form").fill(subject="Hello", text="There.").submit()
    preview.form("bulk-message-act").submit()

    assert [mail.to for mail in outbox()] == ["two@example.com"] * 2
