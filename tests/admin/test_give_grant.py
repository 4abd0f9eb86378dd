import json

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.tiers.jobs import jobs
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.queries import list_grants

pytestmark = pytest.mark.usefixtures("cast", "clock")

ADDRESS = "/admin/orgs/acme/grants/new"
PAGE = "/admin/orgs/acme"
OPUS = "opus-5/requests/bucket/60"
SPEND = "*/spend_microusd/window/month"


@pytest.fixture
def give(as_root, both_ways):
    """Fill in the form."""

    def submit(*, status=200, **values):
        usual = {
            "limit": OPUS,
            "quota": "2,000",
            "ends_at": "2026-12-02T12:00",
            "reason": "A fair.",
        }
        form = as_root.get(ADDRESS).form("grant-form").fill({**usual, **values})
        redirect = PAGE if status == 200 else None
        return form.submit(htmx=both_ways.is_htmx, status=status, redirect=redirect)

    return submit


@pytest.fixture
def grants(sessions, cast):
    """Acme's grants."""

    def read():
        with sessions() as session:
            return list_grants(session, cast.acme.id)

    return read


@pytest.fixture
def run_jobs(sessions):
    return lambda: {job.name: job.run() for job in jobs(sessions)}


def test_a_grant_is_on_the_record_and_on_the_page(give, record, grants):
    page = give()

    (row,) = grants()
    assert page.flash == "Acme has the grant until 2026-12-02 12:00 UTC."
    assert json.loads(record())["grants"] == [
        {
            "burst": 2000,
            "from": 1793620800,
            "id": row.id,
            "kind": "bucket",
            "metric": "requests",
            "model": "opus-5",
            "period": 60,
            "quota": 2000,
            "until": 1796212800,
        }
    ]
    shown = page.table("Grants").rows[0]
    assert shown["Grant"] == "Opus 5: 2,000 requests per minute instead of 1,000"
    assert (shown["State"], shown["Reason"]) == ("In force", "A fair.")


def test_the_owners_and_the_journal_hear_of_it(give, outbox, journal, cast, grants):
    give()

    event, (mail,) = journal()[-1], outbox()
    assert (mail.to, mail.subject) == (cast.ada.email, "Acme: a higher limit for a time")
    for words in ("Opus 5: 2,000 requests per minute", "until 2026-12-02 12:00 UTC", "A fair."):
        assert words in mail.text
    assert (event.tag, event.subject_id) == ("org:grant:given", grants()[0].id)
    assert event.details == {
        "limit": "opus-5.requests.bucket.60",
        "quota": "2,000",
        "from": "2026-11-02 12:00:00 UTC",
        "until": "2026-12-02 12:00:00 UTC",
        "reason": "A fair.",
    }


def test_the_form_says_what_the_tier_allows_and_what_it_does_not_limit(as_root):
    page = as_root.get(ADDRESS)

    groups = {group["label"] for group in page.soup.select("#limit optgroup")}
    assert groups == {"Limits of the tier Start"}
    assert "Opus 5 · requests per minute (now 1,000)" in page.all("#limit option")
    assert "All models together · spend per calendar month (now $500)" in page.all("#limit option")


def test_a_grant_may_begin_later(give, grants, record):
    page = give(starts_at="2026-11-20T12:00")

    assert page.table("Grants").rows[0]["State"] == "Planned"
    assert json.loads(record())["grants"][0]["from"] == 1795176000


def test_a_grant_without_effect_is_refused_until_somebody_insists(give, both_ways, grants, outbox):
    page = give(quota="1000", status=422)

    assert page.errors["quota"] == (
        "As things stand this raises nothing. "
        "The tier Start allows 1,000 requests per minute, which is no less."
    )
    assert (grants(), outbox()) == ([], [])
    form = page.form("grant-form").fill(anyway=True)
    page = form.submit(htmx=both_ways.is_htmx, redirect=PAGE)
    shown = page.table("Grants").rows[0]["Grant"]
    assert "Without effect as things stand. The tier Start allows 1,000 requests" in shown
    assert "As things stand it changes nothing." in outbox()[0].text


def test_a_grant_sent_twice_is_given_once_and_says_so(give, grants, outbox):
    give()
    mails = len(outbox())

    page = give(status=422)

    assert page.errors["quota"] == (
        "As things stand this raises nothing. "
        "Another grant allows 2,000 requests per minute until 2026-12-02 12:00 UTC, which is no less."
    )
    assert (len(grants()), len(outbox())) == (1, mails)


def test_a_grant_that_another_made_needless_says_so(give, as_root):
    give()
    page = give(quota="3,000", ends_at="2026-12-24T12:00")

    rows = {row["Until"][:10]: row["Grant"] for row in page.table("Grants").rows}

    assert "Without effect as things stand. Another grant allows 3,000" in rows["2026-12-02"]
    assert "Without effect" not in rows["2026-12-24"]


def test_a_grant_that_has_not_begun_is_not_said_to_end_soon(give, run_jobs, clock, outbox):
    give(starts_at="2026-11-30T12:00")
    for _ in range(31 * 2):
        clock.advance(hours=12)
        run_jobs()

    assert [mail.subject for mail in reversed(outbox())] == [
        "Acme: a higher limit for a time",
        "Acme: a grant ends on 2026-12-02",
    ]


def test_a_grant_that_a_move_made_needless_says_so(give, sessions, cast, as_root):
    give()
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        decision = TierDecision(tier="build", reason="They grow.")
        decide_tier(session, actor=cast.root.actor, org=org, decision=decision)

    shown = as_root.get(PAGE).table("Grants").rows[0]["Grant"]

    assert "Without effect as things stand. The tier Build allows 5,000 requests" in shown


@pytest.mark.parametrize(
    ("limit", "most"),
    [(OPUS, (2**53 - 1) // 60_000), (SPEND, 2**53 - 1)],
)
def test_numbers_are_granted_up_to_where_they_stay_exact_and_no_further(give, grants, limit, most):
    give(limit=limit, quota=str(most))

    page = give(limit=limit, quota=str(most + 1), status=422)

    assert "2**53" in page.errors["quota"]
    assert [row.quota for row in grants()] == [most]


def test_a_burst_that_would_not_stay_exact_is_refused(give, grants):
    page = give(burst=str((2**53 - 1) // 60_000 + 1), status=422)

    assert "2**53" in page.errors["burst"]
    assert grants() == []


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("limit", {"limit": "opus-5/requests/bucket/61"}),
        ("quota", {"quota": ""}),
        ("quota", {"quota": "0"}),
        ("quota", {"quota": "-5"}),
        ("quota", {"quota": "1.5"}),
        ("quota", {"quota": "٣٠٠٠"}),
        ("quota", {"quota": "9" * 40}),
        ("burst", {"limit": SPEND, "quota": "900000000", "burst": "5"}),
        ("burst", {"burst": "0"}),
        ("starts_at", {"starts_at": "2026-11-02T11:00"}),
        ("ends_at", {"ends_at": ""}),
        ("ends_at", {"ends_at": "2026-11-02T12:00"}),
        ("ends_at", {"starts_at": "2026-11-20T12:00", "ends_at": "2026-11-20T12:00"}),
        ("reason", {"reason": ""}),
        ("reason", {"reason": "a\x00b"}),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field_and_changes_nothing(
    give, grants, outbox, field, values
):
    page = give(status=422, **values)

    assert list(page.errors) == [field]
    assert (grants(), outbox()) == ([], [])


@pytest.mark.parametrize("who", ["ada", "ben", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_here(visit, client, cast, token, grants, who):
    cast.sign_in(client, getattr(cast, who))
    data = {"csrf_token": token(), "limit": OPUS, "quota": "9", "ends_at": "2027-01-01T00:00"}

    visit.get(ADDRESS, status=404)
    visit.post("/admin/orgs/acme/grants", data={**data, "reason": "Mine."}, status=404)

    assert grants() == []


def test_the_owners_are_told_seven_days_and_one_day_before_its_end(give, run_jobs, clock, outbox):
    give()
    for _ in range(31 * 2):
        clock.advance(hours=12)
        run_jobs()

    assert [mail.subject for mail in reversed(outbox())] == [
        "Acme: a higher limit for a time",
        "Acme: a grant ends on 2026-12-02",
        "Acme: a grant ends on 2026-12-02",
    ]
    assert "the limit of your tier applies again, unless another grant goes on" in outbox()[0].text


def test_after_its_end_a_grant_leaves_the_record_and_stays_in_the_history(
    give, run_jobs, clock, record, as_root, journal, cast, client
):
    give()
    clock.advance(days=30)
    cast.sign_in(client, cast.root)
    assert as_root.get(PAGE).table("Grants").rows[0]["State"] == "Over"

    assert run_jobs()["grants"] == 1

    assert json.loads(record())["grants"] == []
    assert as_root.get(PAGE).table("Grants").rows[0]["State"] == "Over"
    assert (journal()[-1].tag, journal()[-1].actor_name) == ("org:grant:over", "portal")
    assert set(run_jobs().values()) == {0}
