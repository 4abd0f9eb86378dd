"""A move at a date: what it needs, who hears of it, and what its job does."""

from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.tiers.jobs import jobs
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.queries import find_planned_move, list_assignments, list_moves

pytestmark = pytest.mark.usefixtures("cast", "clock")

ADDRESS = "/admin/orgs/acme/tier"
PAGE = "/admin/orgs/acme"
EARLIEST = "2026-12-02T12:00"


@pytest.fixture
def on_scale(sessions, cast):
    """Acme is on the highest tier."""
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        decision = TierDecision(tier="scale", reason="They run a lot.")
        decide_tier(session, actor=cast.root.actor, org=org, decision=decision)


@pytest.fixture
def run_jobs(sessions):
    """One pass of the tiers' jobs: what each did, by name."""
    return lambda: {job.name: job.run() for job in jobs(sessions)}


@pytest.fixture
def move(sessions, cast):
    """Acme's planned move."""

    def read():
        with sessions() as session:
            return find_planned_move(session, cast.acme.id)

    return read


@pytest.fixture
def plan(as_root, both_ways):
    """Fill in the form."""

    def submit(**values):
        values = {"tier": "build", "reason": "They asked.", **values}
        form = as_root.get(ADDRESS).form("tier-form").fill(values)
        return form.submit(htmx=both_ways.is_htmx, redirect=PAGE)

    return submit


def test_a_move_at_a_date_waits_for_it_and_is_made_then(plan, run_jobs, clock, tier, record, move):
    page = plan(effective_at="2026-11-10T12:00")
    assert page.flash == "Acme moves to Build on 2026-11-10 12:00 UTC."
    assert (tier(), run_jobs()["tier moves"]) == ("start", 0)

    clock.advance(days=8)

    assert run_jobs()["tier moves"] == 1
    assert tier() == "build"
    assert '"tier":"build"' in record()
    assert move() is None


def test_a_move_is_late_where_the_jobs_were_not_running_and_both_pages_say_so(
    plan, as_root, run_jobs, clock, sessions, cast
):
    assert "if the portal is down then" in as_root.get(ADDRESS).text
    plan(effective_at="2026-11-10T12:00")
    clock.advance(days=9)
    assert "It is late: the portal makes it as soon as its jobs run." in as_root.get(PAGE).text

    run_jobs()

    with sessions() as session:
        step = list_assignments(session, cast.acme.id)[0]
    assert (step.tier, step.assigned_at) == ("build", clock.at)
    assert step.assigned_by == cast.root.user_id


def test_the_journal_tells_the_plan_and_the_move(plan, run_jobs, clock, journal, cast):
    plan(effective_at="2026-11-10T12:00")
    planned = journal()[-1]
    clock.advance(days=8)
    run_jobs()
    done = next(event for event in journal() if event.tag == "org:tier:assigned")

    assert (planned.tag, planned.actor_id) == ("org:tier:planned", cast.root.user_id)
    assert planned.details == {
        "tier": "build",
        "effective_at": "2026-11-10 12:00:00 UTC",
        "reason": "They asked.",
        "kind": "manual",
    }
    assert (done.actor_name, done.details["move"]) == ("portal", planned.subject_id)


def test_a_lower_tier_needs_the_promised_notice(as_root, on_scale, both_ways, tier, move, outbox):
    before = len(outbox())
    form = as_root.get(ADDRESS).form("tier-form").fill(tier="build", reason="Little use.")
    form.fill(effective_at="2026-12-02T11:59")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["effective_at"] == (
        "This lowers the organisation from Scale to Build. 30 days' notice are promised; "
        "the earliest date is 2026-12-02 12:00 UTC."
    )
    assert (tier(), move(), len(outbox())) == ("scale", None, before)


def test_with_its_notice_a_lower_tier_is_planned_and_what_it_takes_is_told(
    on_scale, plan, run_jobs, clock, outbox, tier
):
    page = plan(effective_at=EARLIEST)

    assert "Opus 5 · requests per minute: 10,000 → 5,000." in page.text
    mail = outbox()[0]
    assert mail.subject == "Acme moves to Build on 2026-12-02"
    assert "- Opus 5 · requests per minute: 10,000 → 5,000." in mail.text
    assert "- 50 API keys can be live at once, not 75." in mail.text
    clock.advance(days=30)
    run_jobs()
    assert tier() == "build"
    assert "- Opus 5 · requests per minute: 10,000 → 5,000." in outbox()[0].text


def test_for_abuse_a_lower_tier_needs_no_notice_and_is_said_to_be(
    on_scale, plan, tier, journal, outbox
):
    plan(for_abuse=True)

    assert tier() == "build"
    details = next(
        event for event in reversed(journal()) if event.tag == "org:tier:assigned"
    ).details
    assert details["for_abuse"] is True
    assert "because of abuse of the API" in outbox()[0].text


def test_what_falls_away_is_listed_before_and_after(on_scale, as_root, plan):
    before = as_root.get(ADDRESS).text
    after = plan(for_abuse=True).text

    for text in (before, after):
        assert "Opus 5 · requests per minute: 10,000 → 5,000." in text
    assert "would go without" in before
    assert "no longer has on this tier. Nothing was deleted." in after


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"effective_at": "2026-11-01T12:00"}, "This date is past."),
        ({"effective_at": "tomorrow"}, "Give a date and a time"),
        ({"effective_at": "9999-12-31T23:59:59-23:00"}, "out of range"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_date_that_cannot_be_is_named_and_changes_nothing(
    as_root, both_ways, move, values, wanted
):
    form = as_root.get(ADDRESS).form("tier-form").fill(tier="build", reason="They grow.")

    page = form.fill(values).submit(htmx=both_ways.is_htmx, status=422)

    assert wanted in page.errors["effective_at"]
    assert move() is None


def test_a_date_within_the_last_minute_is_now(plan, tier, move):
    plan(effective_at="2026-11-02T11:59:30Z")

    assert (tier(), move()) == ("build", None)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_owners_are_reminded_seven_days_and_one_day_before(plan, run_jobs, clock, outbox):
    plan(effective_at="2026-11-22T12:00")
    subjects = []
    for _ in range(21 * 4):
        clock.advance(hours=6)
        run_jobs()
        subjects = [mail.subject for mail in reversed(outbox())]

    assert subjects == [
        "Acme moves to Build on 2026-11-22",
        "Reminder: Acme moves to Build on 2026-11-22",
        "Reminder: Acme moves to Build on 2026-11-22",
        "Acme is now on Build",
    ]


def test_who_was_down_reminds_once_and_not_of_each(plan, run_jobs, clock, outbox):
    plan(effective_at="2026-11-22T12:00")
    clock.advance(days=19, hours=12)

    run_jobs()
    run_jobs()

    assert [mail.subject.partition(":")[0] for mail in outbox()].count("Reminder") == 1


def test_jobs_that_find_nothing_write_nothing(plan, run_jobs, clock, sessions, count_queries):
    plan(effective_at="2026-11-22T12:00")
    run_jobs()

    with count_queries() as queries:
        assert set(run_jobs().values()) == {0}

    # A transaction that writes says BEGIN IMMEDIATE on SQLite, and what it writes on both.
    others = {each for each in queries.statements if not each.startswith("SELECT")}
    assert others <= {"BEGIN DEFERRED"}


def test_a_later_decision_takes_the_place_of_the_plan(plan, sessions, cast, tier, outbox, journal):
    plan(effective_at="2026-11-22T12:00")

    plan(tier="scale")

    with sessions() as session:
        (row,) = list_moves(session, cast.acme.id)
    assert tier() == "scale"
    assert (row.cancelled_by, row.cancelled_reason) == (
        cast.root.user_id,
        "Another decision took its place.",
    )
    assert (
        "The move to Build that was planned for 2026-11-22 12:00:00 UTC is off." in outbox()[0].text
    )
    assert "org:tier:cancelled" in [event.tag for event in journal()]


def test_one_plan_takes_the_place_of_another(plan, move, sessions, cast):
    plan(effective_at="2026-11-22T12:00")

    plan(effective_at="2026-11-23T12:00")

    assert move().effective_at.day == 23
    with sessions() as session:
        assert len(list_moves(session, cast.acme.id)) == 2


def test_a_move_that_became_unlawful_is_cancelled_and_says_why(
    plan, run_jobs, clock, sessions, cast, outbox, tier
):
    """As when somebody's SQL, or a change of ranks, made it a move down without notice."""
    plan(tier="build", effective_at="2026-11-22T12:00")
    with sessions() as session, transaction(session):
        move = find_planned_move(session, cast.acme.id)
        org = session.get_one(Org, cast.acme.id)
        move.cancelled_at = clock.at
        session.flush()  # so that another decision finds no open move
        decision = TierDecision(tier="scale", reason="They run a lot.")
        decide_tier(session, actor=cast.root.actor, org=org, decision=decision)
        move.cancelled_at = None
    clock.advance(days=20)

    assert run_jobs()["tier moves"] == 1

    assert tier() == "scale"
    with sessions() as session:
        (row,) = list_moves(session, cast.acme.id)
    assert row.cancelled_reason.startswith("This lowers the organisation from Scale to Build.")
    assert outbox()[0].subject == "Acme stays on Scale"


def test_the_earliest_date_that_the_refusal_names_is_accepted(on_scale, as_root, clock, move):
    clock.set(clock.at + timedelta(seconds=17, microseconds=5))
    form = as_root.get(ADDRESS).form("tier-form").fill(tier="build", reason="Little use.")
    page = form.submit(status=422)
    earliest = page.errors["effective_at"].split("date is ")[1].removesuffix(" UTC.")

    page.form("tier-form").fill(effective_at=earliest.replace(" ", "T")).submit(redirect=PAGE)

    assert f"{move().effective_at:%Y-%m-%d %H:%M}" == earliest
