"""The list of changes and announcements: what comes next, what is asked for, what is unread."""

from datetime import timedelta

import pytest

from portal.changelog.announcements import publish_announcement, withdraw_announcement
from portal.core.actor import CLI
from portal.core.db import transaction
from tests.support.change_files import CELL, change_file, in_days

pytestmark = pytest.mark.usefixtures("catalog", "clock")


def row(tier, model, quota):
    return {**CELL, "tier": tier, "model": model, "quota": quota}


@pytest.fixture
def announce(sessions):
    """Publish plain news; its id."""

    def announce(title="Maintenance", *tiers):
        with sessions() as session, transaction(session):
            news = publish_announcement(
                session, actor=CLI, title=title, text="The *console* rests.", tiers=tiers
            )
            return news.id

    return announce


@pytest.fixture
def four(publish):
    """Change 2 cuts Build, 3 raises Start, 4 raises all models of Scale for a week, 5 is mixed."""
    publish(change_file(effective_at=in_days(40)))
    publish({"title": "More", "reason": "Room.", "rows": [row("start", "opus-5", 1200)]})
    spend = {"tier": "scale", "model": "*", "metric": "spend_microusd", "kind": "window"}
    spend |= {"period": "month", "quota": 10**12}
    week = {"class": "temporary_raise", "effective_at": in_days(1), "expires_at": in_days(8)}
    publish({"title": "A rich week", "reason": "Launch.", "rows": [spend], **week})
    mixed = [row("scale", "opus-5", 9000), row("scale", "sonnet-5", 11_000)]
    publish(change_file(title="Both", rows=mixed, effective_at=in_days(50)))


def shown(page):
    return [words.partition(":")[0] for words in page.all(".news-title")]


def test_the_first_line_says_what_changes_next(visit, four):
    lead = visit.get("/changelog").all(".page-header-lead")

    assert lead == [
        (
            "From 2026-11-03 12:00 UTC: Scale · All models together · spend per calendar month:"
            " $200,000 → $1,000,000 (+400 %) (change 4)."
        )
    ]


def test_the_end_of_what_is_temporary_is_announced_too(visit, four, clock):
    clock.advance(days=2)

    lead = visit.get("/changelog").all(".page-header-lead")

    assert lead == [
        (
            "At 2026-11-10 12:00 UTC change 4 ends: Scale · All models together · spend per calendar"
            " month: $1,000,000 → $200,000 (\u221280 %)."
        )
    ]


def test_a_signed_in_reader_is_told_what_touches_them(visit, client, cast, publish, four):
    cast.sign_in(client, cast.ada)
    before = visit.get("/changelog").all(".page-header-lead")
    publish(change_file(rows=[row("start", "opus-5", 900)], effective_at=in_days(60)))

    after = visit.get("/changelog").all(".page-header-lead")

    assert before == [
        (
            "Acme is on Start. No announced change takes anything from you or gives you anything:"
            " your limits stay as they are."
        )
    ]
    assert after == [
        (
            "Acme is on Start. From 2027-01-01 12:00 UTC: Start · Opus 5 · requests per minute:"
            " 1,200 → 900 (\u221225 %) (change 6)."
        )
    ]


def test_each_line_says_direction_class_instant_and_state(visit, four, run):
    run("changes", "hold", "5", "--reason", "Wait.")

    lines = visit.get("/changelog").all(".news-line")

    assert lines[:3] == [
        (
            "Change 5: Both Held Mixed Held since 2026-11-02 12:00 UTC: it takes no effect until it"
            " is released. For Scale. Announced 2026-11-02 12:00 UTC."
        ),
        (
            "Change 4: A rich week Announced Loosens Temporary raise Takes effect at 2026-11-03 12:00"
            " UTC, until 2026-11-10 12:00 UTC. For Scale. Announced 2026-11-02 12:00 UTC."
        ),
        (
            "Change 3: More In force Loosens In force since 2026-11-02 12:00 UTC. For Start."
            " Announced 2026-11-02 12:00 UTC."
        ),
    ]


def test_a_withdrawn_change_stays_in_the_list(visit, four, run):
    run("changes", "withdraw", "2", "--reason", "We found room.")

    lines = visit.get("/changelog").all(".news-line")

    assert lines[3].startswith("Change 2: Fewer requests Withdrawn Tightens Withdrawn at")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["Change 5", "Change 4", "Change 3", "Change 2", "Change 1"]),
        ({"tier": "start"}, ["Change 3", "Change 1"]),
        ({"tier": ["start", "build"]}, ["Change 3", "Change 2", "Change 1"]),
        ({"model": "opus-5"}, ["Change 5", "Change 4", "Change 3", "Change 1"]),
        ({"direction": "tightening"}, ["Change 5", "Change 2"]),
        ({"direction": "mixed"}, ["Change 5"]),
        ({"direction": "loosening"}, ["Change 4", "Change 3"]),
        ({"direction": "neutral"}, ["Change 1"]),
        ({"when": "upcoming"}, ["Change 5", "Change 4", "Change 2"]),
        ({"tier": "scale", "direction": "tightening", "when": "upcoming"}, ["Change 5"]),
        ({"tier": "start", "when": "upcoming"}, []),
    ],
)
def test_the_list_is_narrowed(visit, four, asked, found):
    assert shown(visit.get("/changelog", **asked)) == found


def test_the_filter_works_plain_and_with_htmx(visit, four, both_ways):
    form = visit.get("/changelog").form("Filter").fill(tier=["build"], direction="tightening")

    page = form.submit(htmx=both_ways.is_htmx)

    assert page.is_fragment is both_ways.is_htmx
    assert shown(page) == ["Change 2"]
    assert "1 entry fits" in page.text


def test_what_fits_nothing_says_so(visit, four):
    page = visit.get("/changelog", tier="start", when="upcoming")

    assert "Nothing fits." in page.text
    assert page.link("Show all entries") == "/changelog"


@pytest.mark.parametrize(
    "asked", [{"tier": "gold"}, {"model": "gpt"}, {"direction": "up"}, {"when": "never"}]
)
def test_what_nobody_can_ask_for_gets_a_message_and_the_whole_list(visit, four, both_ways, asked):
    page = visit.get("/changelog", htmx=both_ways.is_htmx, status=422, **asked)

    assert "Showing all." in page.text
    assert len(shown(page)) == 5


def test_a_link_narrows_to_the_readers_tiers(visit, client, cast, four):
    cast.sign_in(client, cast.ada)

    link = visit.get("/changelog").link("Only what touches you")

    assert link == "/changelog?tier=start"


def test_announcements_stand_between_the_changes(visit, publish, announce, clock):
    clock.advance(minutes=1)
    announce("Maintenance", "build")
    clock.advance(minutes=1)
    publish(change_file(effective_at=in_days(40)))

    page = visit.get("/changelog")

    assert shown(page) == ["Change 2", "Maintenance", "Change 1"]
    assert "Announcement No limit changes by it. For Build. Published" in page.text


def test_news_are_narrowed_by_tier_and_are_no_changes(visit, announce):
    announce("For Build", "build")
    announce("For all")

    found = [
        shown(visit.get("/changelog", **asked))
        for asked in ({"tier": "start"}, {"tier": "build"}, {"direction": "neutral"})
    ]

    assert found == [
        ["For all", "Change 1"],
        ["For all", "For Build", "Change 1"],
        ["Change 1"],
    ]


def test_news_have_a_page_of_their_own_also_when_withdrawn(visit, announce, sessions):
    news = announce("Maintenance", "build")
    page = visit.get(f"/changelog/{news}")
    with sessions() as session, transaction(session):
        withdraw_announcement(session, actor=CLI, announcement_id=news)

    after = visit.get(f"/changelog/{news}")

    assert "An announcement for Build. No limit changes by it." in page.text
    assert page.all(".prose em") == after.all(".prose em") == ["console"]
    assert "Withdrawn at 2026-11-02 12:00 UTC; it is kept here as it was published." in after.text


def test_news_that_were_never_published_are_not_there(visit):
    visit.get("/changelog/ann_00000000000000000000000000", status=404)


def test_a_long_list_comes_in_pages(visit, announce):
    for number in range(40):
        announce(f"News {number}", "build")

    first = visit.get("/changelog", tier="build")
    second = visit.get(first.link("Older →"))

    assert (len(shown(first)), len(shown(second))) == (30, 11)
    assert first.link("Older →") == "/changelog?tier=build&page=2"
    assert second.link("← Newer") == "/changelog?tier=build&page=1"


@pytest.mark.parametrize("page", ["0", "-3", "99999999999999999999", "two"])
def test_a_page_that_is_none_is_the_nearest(visit, page):
    assert shown(visit.get("/changelog", page=page)) == ["Change 1"]


def test_the_pages_of_the_list_are_in_step_with_no_clock(client, four, clock):
    first = client.get("/changelog")
    clock.advance(hours=3)

    again = client.get("/changelog", headers={"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304


def test_the_list_asks_the_database_as_often_for_many_as_for_few(
    client, cast, announce, four, count_queries
):
    cast.sign_in(client, cast.ada)
    client.get("/changelog")
    with count_queries() as few:
        client.get("/changelog")
    for number in range(20):
        announce(f"News {number}")

    with count_queries() as many:
        client.get("/changelog")

    assert len(many) == len(few) <= 10


def test_what_was_published_after_one_came_is_unread(visit, client, cast, publish, clock):
    cast.sign_in(client, cast.ada)
    nothing = visit.get("/changelog")
    clock.advance(minutes=5)
    publish(change_file(effective_at=in_days(40)))

    page = visit.get("/changelog")

    assert "unread" not in nothing.text
    assert page.all(".news-title") == ["Change 2: Fewer requests Unread", "Change 1: Our limits"]
    assert "1 unread." in page.text


def test_signed_out_nothing_is_unread(visit, publish):
    publish(change_file(effective_at=in_days(40)))

    assert "nread" not in visit.get("/changelog").text


def test_a_hold_makes_a_change_unread_again(visit, client, cast, publish, run, clock):
    cast.sign_in(client, cast.ada)
    clock.advance(minutes=5)
    publish(change_file(effective_at=in_days(40)))
    visit.get("/changelog").form("Mark all as read").submit(redirect="/changelog")
    clock.advance(minutes=5)

    run("changes", "hold", "2", "--reason", "Wait.")

    assert visit.get("/changelog").all(".news-title")[0] == "Change 2: Fewer requests Unread"


def test_the_start_of_the_tests_is_where_the_clock_stands(clock):
    """The instants above are written out; they hang on the manual clock."""
    assert clock.at + timedelta(days=40) == clock.at.replace(month=12, day=12)
