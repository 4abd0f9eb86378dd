"""What everyone may read: what each tier needs, and how long decisions took."""

import pytest

from portal.upgrades.commands import approve, decline, take_up, withdraw

pytestmark = pytest.mark.usefixtures("cast", "clock")


@pytest.fixture
def decide(send, step, clock):
    """Send a request and end it so many hours later."""

    def act(hours, end=decline, **values):
        request_id = send()
        step(take_up, request_id)
        clock.advance(hours=hours)
        step(end, request_id, reason="So.", **values)

    return act


def lead(visit):
    return visit.get("/upgrades").all(".page-header-lead")[0]


def test_strangers_read_what_each_tier_needs(visit):
    page = visit.get("/upgrades")

    assert page.all("#needs h3") == ["Start", "Build", "Scale"]
    assert page.all("#needs li") == [
        "A confirmed e-mail address",
        "An account 7 days old",
        "Use on 7 days",
        "A confirmed e-mail address",
        "An account 30 days old",
        "A confirmed e-mail address",
        "A second factor at sign-in",
    ]
    assert "counts as not met" not in page.text


def test_without_decisions_it_says_so(visit, send):
    send()

    assert lead(visit) == (
        "No request was decided in the last 90 days. "
        "The target is a decision within 3 working days."
    )


def test_of_a_single_decision_it_says_how_long_it_took(visit, decide):
    decide(5)

    assert lead(visit) == (
        "The one request decided in the last 90 days took 5 hours. The target is 3 working days."
    )


def test_the_median_is_of_all_decisions(visit, decide, ready):
    for hours in (1, 50, 9):
        decide(hours)
    decide(30, approve)

    assert lead(visit) == (
        "Half of the 4 requests decided in the last 90 days took 19 hours 30 minutes or less. "
        "The target is 3 working days."
    )


def test_what_was_withdrawn_is_left_out(visit, decide, cast):
    decide(2)
    decide(300, withdraw, actor=cast.ada.actor)

    assert "The one request decided in the last 90 days took 2 hours." in lead(visit)


def test_ninety_days_later_a_decision_no_longer_counts(visit, decide, clock):
    decide(2)
    clock.advance(days=90, seconds=-1)
    assert "The one request" in lead(visit)

    clock.advance(seconds=1)
    assert "No request was decided" in lead(visit)


def test_the_same_numbers_stand_in_the_staffs_queue(visit, client, cast, decide, send, clock):
    decide(5)
    request_id = send()
    clock.advance(days=4)
    cast.sign_in(client, cast.root)

    page = visit.get("/admin/requests")

    assert page.all(".page-header-lead") == [
        "1 request open, 1 past the target of 3 working days. Median of the last 90 days: 5 hours."
    ]
    row = page.table("Open requests").row("Acme")
    assert (row["Tier"], row["State"], row["Age"]) == ("Start → Scale", "Submitted", "4 days")
    assert row["Decide by"].endswith("Late")
    assert page.table("Closed last").row("Acme")["Took"] == "5 hours"
    assert page.one(f'[id="{request_id}"] a')["href"] == f"/admin/requests/{request_id}"


def test_the_staff_read_the_facts_of_the_organisation(visit, client, cast, send, age):
    age(40)
    request_id = send()
    cast.sign_in(client, cast.root)

    page = visit.get(f"/admin/requests/{request_id}")

    assert page.facts["Age"].startswith("40 days 1 hour, since ")
    assert page.facts["Tier"] != ""
    assert page.facts["Live API keys"] == "0"
    assert page.facts["Owners"] == "ada@example.com (confirmed)"
    assert "Met Account 30 of 30 days old" in page.all(".checklist li")


def test_the_queue_takes_as_many_queries_for_many_as_for_one(
    visit, client, cast, decide, count_queries
):
    cast.sign_in(client, cast.root)
    counted = []
    for times in (1, 4):
        for _ in range(times):
            decide(1)
        with count_queries() as queries:
            visit.get("/admin/requests")
        counted.append(len(queries))

    assert counted[0] == counted[1]
