"""Withdraw, reschedule, hold, release and amend, on the staff's pages."""

import pytest
from sqlalchemy import delete

from portal.changelog.models import NOT_DELIVERED, ChangeHold
from portal.core.db import transaction
from tests.support.change_files import change_file, in_days, unix

pytestmark = pytest.mark.usefixtures("cast", "clock")

ACTS = ("withdraw", "reschedule", "hold", "amend")


@pytest.fixture
def announced(publish):
    """Change 2 cuts Build · Sonnet 5 · requests per minute on day 40."""
    return publish(change_file(effective_at=in_days(40)))


@pytest.fixture
def change(log):
    return lambda number=2: log().history.changes[number]


@pytest.fixture
def ask(as_root, announced):
    """The question's form."""
    return lambda act, number=2: as_root.get(f"/admin/changes/{number}/{act}").form("act-form")


def test_a_change_is_withdrawn(ask, both_ways, change, journal, cast):
    form = ask("withdraw").fill(reason="We found room.")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/admin/changes")

    assert page.flash == "Change 2 is withdrawn."
    assert (change().status, change().withdraw_reason) == ("withdrawn", "We found room.")
    assert (journal()[-1].tag, journal()[-1].actor_id) == ("change:withdrawn", cast.root.user_id)


def test_a_change_is_rescheduled(ask, both_ways, change):
    form = ask("reschedule").fill(effective_at="2027-01-01T00:00")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/admin/changes")

    assert page.flash == "Change 2 is rescheduled."
    assert change().effective_at == unix(59, hours=12)


def test_a_change_is_held_and_released(ask, both_ways, change):
    ask("hold").fill(reason="Wait.").submit(htmx=both_ways.is_htmx, redirect="/admin/changes")
    held = change()

    ask("release").submit(htmx=both_ways.is_htmx, redirect="/admin/changes")

    assert (held.status, held.hold_reason) == ("held", "Wait.")
    assert (change().status, change().effective_at) == ("announced", unix(40))


def test_a_release_names_the_earliest_lawful_instant(ask, both_ways, change):
    ask("hold").fill(reason="Wait.").submit(redirect="/admin/changes")

    form = ask("release").fill(effective_at="2026-11-10T00:00")
    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "the earliest effective time is 2026-12-12 12:00 UTC" in page.text
    assert change().status == "held"


def test_what_fell_with_another_is_released_on_its_own_page(ask, publish, as_root, change):
    publish(change_file(3000, effective_at=in_days(50)))
    question = as_root.get("/admin/changes/2/hold")
    ask("hold").fill(reason="Wait.").submit(redirect="/admin/changes")

    ask("release", 3).submit(redirect="/admin/changes")

    assert "Change 3: Fewer requests" in question.text
    assert [change(2).status, change(3).status] == ["held", "announced"]


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("staff", "Wait.", "staff: Wait."),
        (NOT_DELIVERED, NOT_DELIVERED, "Too few of the owners concerned could be mailed in time"),
    ],
)
def test_a_hold_is_told_in_words(as_root, announced, run, name, reason, said):
    run("changes", "hold", "2", "--name", name, "--reason", reason)

    page = as_root.get("/admin/changes/2/release")

    assert said in page.text
    assert NOT_DELIVERED not in page.text


def test_a_hold_whose_name_was_lost_with_the_database_is_released(
    as_root, announced, run, sessions, change
):
    """After `log recover` the log holds the change, and no row says under which name."""
    run("changes", "hold", "2", "--reason", "Wait.")
    with sessions() as session, transaction(session):
        session.execute(delete(ChangeHold))
    page = as_root.get("/admin/changes/2/release")

    page.form("act-form").submit(redirect="/admin/changes")

    assert "Wait." in page.text
    assert "None" not in page.text
    assert change().status == "announced"


def test_the_words_are_amended(ask, both_ways, change):
    form = ask("amend")
    assert form.values["reason"] == ["Room for all."]

    form.fill(title="Said better").submit(htmx=both_ways.is_htmx, redirect="/admin/changes")

    assert [wording.title for wording in change().wordings] == ["Fewer requests", "Said better"]


def test_an_emergency_cut_in_force_is_ended_early(as_root, publish, change, clock):
    publish(change_file(**{"class": "emergency_cut", "expires_at": in_days(2)}))
    clock.advance(hours=3)
    form = as_root.get("/admin/changes/2/withdraw").form("act-form")

    form.fill(reason="It is over.").submit(redirect="/admin/changes")

    assert change().expires_at == unix(0, hours=3)


BAD = {
    "withdraw": {"reason": ""},
    "reschedule": {"effective_at": "2026-11-20T00:00"},
    "hold": {"reason": "x" * 201},
    "amend": {"reason": " "},
}


@pytest.mark.parametrize("act", ACTS)
def test_bad_input_changes_nothing(ask, both_ways, counts, act):
    form, before = ask(act).fill(BAD[act]), counts()

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.form("act-form").action == f"/admin/changes/2/{act}"
    assert counts() == before


@pytest.mark.parametrize("act", ["withdraw", "reschedule", "hold"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_in_force_stays_so(as_root, counts, act):
    form, before = as_root.get(f"/admin/changes/1/{act}").form("act-form"), counts()
    if act != "reschedule":
        form.fill(reason="Back then.")

    page = form.submit(status=422)

    assert "in force already" in page.text
    assert counts() == before


@pytest.mark.parametrize("act", [*ACTS, "release"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_change_that_is_not_there_is_not_there(as_root, act):
    as_root.get(f"/admin/changes/9/{act}", status=404)
    token = as_root.get("/admin/changes").form("Sign out").values["csrf_token"][0]
    as_root.post(f"/admin/changes/9/{act}", data={"csrf_token": token}, status=404)


@pytest.mark.parametrize("act", [*ACTS, "release"])
@pytest.mark.parametrize("who", ["ada", "dan"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_to_everyone_but_the_staff_there_is_nothing_here(
    visit, client, cast, announced, token, counts, who, act
):
    cast.sign_in(client, getattr(cast, who))
    data, before = {"csrf_token": token(), "reason": "Mine."}, counts()

    visit.get(f"/admin/changes/2/{act}", status=404)
    visit.post(f"/admin/changes/2/{act}", data=data, status=404)

    assert counts() == before


def test_the_list_says_what_can_be_done(as_root, announced):
    page = as_root.get("/admin/changes")

    assert page.table("Upcoming").row("Change 2")["State"] == "Announced"
    past = page.table("In force or over").row("Change 1")
    assert (past["State"], past["What you can do"]) == ("In force", "Amend")
