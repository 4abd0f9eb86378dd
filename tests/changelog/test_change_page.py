"""The page of a change through its life: what happens, for whom, when, why, and all that is signed."""

import hashlib

import pytest
from sqlalchemy import delete, update

from plimsoll.contract import canonical
from portal.changelog.models import NOT_DELIVERED, Change, ChangeWords
from portal.core.db import transaction
from tests.support.change_files import CELL, change_file, in_days

CUT = "Build · Sonnet 5 · requests per minute: 5,000 → 4,000 (\u221220 %)"

pytestmark = pytest.mark.usefixtures("catalog", "clock")


@pytest.fixture
def announced(publish):
    """Change 2 cuts Build · Sonnet 5 · requests per minute on day 40."""
    return publish(change_file(effective_at=in_days(40), reason="We **need** room.\n\nTruly."))


def lead(page):
    (said,) = page.all(".page-header-lead")
    return said


def steps(page):
    return page.all(".timeline-step")


def test_the_first_line_says_what_happens_for_whom_and_when(visit, announced):
    assert lead(visit.get("/changelog/2")) == f"From 2026-12-12 12:00 UTC: {CUT}."


def test_of_several_things_what_is_taken_away_comes_first(visit, publish):
    rows = [{**CELL, "model": "opus-5", "quota": 9000}, {**CELL, "quota": 4000}]
    publish(change_file(rows=rows, effective_at=in_days(40)))

    said = lead(visit.get("/changelog/2"))

    assert said == f"From 2026-12-12 12:00 UTC: {CUT}, and 1 more."


def test_the_line_of_time_says_how_much_notice_has_run_and_is_left(visit, announced, clock):
    clock.advance(days=10, hours=6)

    page = visit.get("/changelog/2")

    assert steps(page) == [
        "Announced 2026-11-02 12:00 UTC",
        "Today, 2026-11-12 10 days 6 hours since it was announced, 29 days 18 hours left",
        "Takes effect 2026-12-12 12:00 UTC",
    ]
    assert (
        "30 days of notice are promised, 40 days given. Run so far: 10 days 6 hours. Left: 29 days"
        " 18 hours." in page.text
    )


def test_in_force_it_says_since_when(visit, announced, clock):
    clock.advance(days=41)

    page = visit.get("/changelog/2")

    assert lead(page) == f"In force since 2026-12-12 12:00 UTC: {CUT}."
    assert "40 days given. All of it has run." in page.text
    assert "A request refused because of a limit it changed names this change" in page.text


def test_the_instant_itself_belongs_to_the_change(visit, announced, clock):
    clock.advance(days=40)

    assert lead(visit.get("/changelog/2")).startswith("In force since")


def test_the_reason_is_rendered_and_what_one_can_do_is_said(visit, announced):
    page = visit.get("/changelog/2")

    assert page.all(".prose p") == ["We need room.", "Truly."]
    assert page.all(".prose strong") == ["need"]
    assert "Until then the limits stay as they are, at every gateway." in page.text
    assert "Plimsoll-Limit-Change" in page.text


def test_held_it_has_no_instant(visit, announced, run):
    run("changes", "hold", "2", "--reason", "Owners asked for time.")

    page = visit.get("/changelog/2")

    assert lead(page) == (
        "Nothing changes for now: held since 2026-11-02 12:00 UTC, without an instant."
        f" It would be: {CUT}."
    )
    assert "The reason: Owners asked for time." in page.text
    assert steps(page)[-1] == "Takes effect no instant while it is held"


def test_what_waits_for_its_notices_says_so_in_words(visit, announced, run):
    run("changes", "hold", "2", "--reason", NOT_DELIVERED, "--name", NOT_DELIVERED)

    page = visit.get("/changelog/2")

    said = "Too few of the owners concerned could be mailed in time; it is released once they are."
    assert f"The reason: {said}" in page.text
    assert NOT_DELIVERED not in page.text


def test_what_is_held_with_another_says_with_which(visit, announced, publish, run):
    publish(change_file(3000, title="Even fewer", effective_at=in_days(60)))

    run("changes", "withdraw", "2", "--reason", "No.")

    page = visit.get("/changelog/3")
    assert "It stands on change 2, which was held or withdrawn, and waits with it." in page.text
    assert page.link("change 2") == "/changelog/2"


def test_withdrawn_it_keeps_its_page_for_ever(visit, announced, run, clock):
    run("changes", "withdraw", "2", "--reason", "We found room.")
    clock.advance(days=4000)

    page = visit.get("/changelog/2")

    assert lead(page) == (
        "Nothing changes: withdrawn at 2026-11-02 12:00 UTC, before it took effect."
        f" It would have been: {CUT}."
    )
    assert "The reason: We found room." in page.text
    assert steps(page) == ["Announced 2026-11-02 12:00 UTC", "Withdrawn 2026-11-02 12:00 UTC"]


def test_replaced_it_leads_to_what_replaces_it(visit, announced, publish):
    publish(change_file(4500, title="Less of it", effective_at=in_days(40), replaces=[2]))

    page = visit.get("/changelog/2")

    assert page.link("Change 3") == "/changelog/3"
    assert (
        page.table("Entries of the log")
        .row("entry 3")["What happened"]
        .startswith("Withdrawn, replaced by change 3")
    )


def test_what_is_temporary_says_until_when_and_that_it_is_over(visit, publish, clock):
    publish(
        change_file(
            9000,
            title="Launch week",
            effective_at=in_days(1),
            expires_at=in_days(8),
            **{"class": "temporary_raise"},
        )
    )
    raised = "Build · Sonnet 5 · requests per minute: 5,000 → 9,000 (+80 %)"

    told = []
    for days in (0, 2, 7):
        clock.advance(days=days)
        told.append(lead(visit.get("/changelog/2")))

    assert told == [
        f"From 2026-11-03 12:00 UTC until 2026-11-10 12:00 UTC: {raised}.",
        f"In force since 2026-11-03 12:00 UTC, until 2026-11-10 12:00 UTC: {raised}.",
        f"Over since 2026-11-10 12:00 UTC. From 2026-11-03 12:00 UTC it was: {raised}.",
    ]


def test_an_emergency_that_ended_early_ended_when_it_did(visit, publish, run, clock):
    publish(change_file(**{"class": "emergency_cut", "expires_at": in_days(2)}))
    clock.advance(hours=5)
    run("changes", "withdraw", "2", "--reason", "It is over.")

    page = visit.get("/changelog/2")

    assert lead(page).startswith(
        "Over since 2026-11-02 17:00 UTC. From 2026-11-02 12:00 UTC it was"
    )
    row = page.table("Entries of the log").row("entry 3")
    assert row["What happened"] == "Ended early It is over."


def test_a_retirement_says_where_to_go(visit, publish):
    offer = {"tier": "start", "model": "haiku-4.5", "offered": False}
    offer["replacement"] = {"tier": "start", "model": "sonnet-5"}
    publish({"title": "Gone", "reason": "Old.", "effective_at": in_days(100), "offers": [offer]})

    page = visit.get("/changelog/2")

    assert "Move from Haiku 4.5 on Start to Sonnet 5 on Start before then." in page.text
    assert "Compare what you send" not in page.text
    assert "90 days of notice are promised, 100 days given" in page.text


def test_its_whole_life_is_told_with_the_entries(visit, client, announced, run):
    run("changes", "reschedule", "2", "--effective-at", in_days(60))
    run("changes", "hold", "2", "--reason", "Wait.")
    run("changes", "release", "2", "--effective-at", in_days(70))

    page = visit.get("/changelog/2")

    rows = page.table("Entries of the log").rows
    assert [(row["Entry"], row["What happened"]) for row in rows] == [
        ("entry 2", "Announced for 2026-12-12 12:00 UTC"),
        ("entry 3", "Moved to 2027-01-01 12:00 UTC"),
        ("entry 4", "Held Wait."),
        ("entry 5", "Released, to take effect at 2027-01-11 12:00 UTC"),
    ]
    entry = canonical.decode(client.get(page.link("entry 4")).data.strip())
    assert (entry["seq"], entry["kind"]) == (4, "change.held")


@pytest.fixture
def amended(announced, run):
    """Change 2 in its second wording."""
    title = "Fewer requests on Build"
    done = run("changes", "amend", "2", "--title", title, "--reason", "Said better.")
    assert done.exit_code == 0, done.output


def test_all_versions_of_the_words_stay_readable(visit, client, amended):
    page = visit.get("/changelog/2")

    assert page.h1 == "Change 2: Fewer requests on Build"
    assert page.all(".prose p") == ["Said better."]
    rows = page.table("Versions of its words").rows
    assert [row["Version"] for row in rows] == ["version 2", "version 1"]
    for row, title in zip(rows, ["Fewer requests on Build", "Fewer requests"], strict=True):
        sha256 = hashlib.sha256(client.get(page.link(row["Version"])).data).hexdigest()
        assert row["Title, and SHA-256 of the reason"] == f"{title} {sha256}"
    assert client.get("/changelog/2.md").data == b"Said better."


@pytest.mark.parametrize("version", ["0", "3", "-1", "x", "", "٢", "9" * 30])
def test_a_version_that_never_was_is_not_there(client, amended, version):
    assert client.get("/changelog/2.md", query_string={"v": version}).status_code == 404


@pytest.mark.parametrize("gone", [Change, ChangeWords])
def test_lost_words_are_said_to_be_lost_with_what_proves_them(
    visit, client, announced, sessions, gone
):
    """After `log recover` the log has the change and the database no words."""
    with sessions() as session, transaction(session):
        session.execute(delete(gone).where(gone.number == 2))

    page = visit.get("/changelog/2")

    sha256 = hashlib.sha256(b"We **need** room.\n\nTruly.").hexdigest()
    assert lead(page) == f"From 2026-12-12 12:00 UTC: {CUT}."
    assert "These words are lost" in page.text
    assert sha256 in page.text
    answer = client.get("/changelog/2.md")
    assert answer.status_code == 404
    assert sha256 in answer.get_data(as_text=True)
    assert "Fewer requests" in visit.get("/changelog").text
    assert client.get("/changelog.atom").status_code == 200


def test_altered_words_are_said_to_be_altered(visit, announced, sessions):
    """Whoever writes into the tables cannot write into the signed log."""
    with sessions() as session, transaction(session):
        session.execute(
            update(ChangeWords).where(ChangeWords.number == 2).values(reason="All is well.")
        )

    page = visit.get("/changelog/2")

    assert "These are not the words that were published." in page.text


def test_markup_in_words_stays_text(visit, publish):
    reason = (
        "<script>alert(1)</script> [x](javascript:alert(1)) ![p](http://192.0.2.1/x.png)\n\n# Top"
    )
    publish(change_file(title="<b>Bold</b>", reason=reason, effective_at=in_days(40)))

    page = visit.get("/changelog/2")

    assert page.h1 == "Change 2: <b>Bold</b>"
    assert not page.soup.select("main script, main b, main img, a[href^='javascript']")
    assert page.all(".prose h3") == ["Top"]
