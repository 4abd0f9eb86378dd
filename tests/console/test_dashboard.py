import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from tests.support.change_files import CELL, change_file, in_days
from tests.support.factories import make_key

pytestmark = pytest.mark.usefixtures("cast", "clock")

ROW = {**CELL, "tier": "start", "model": "opus-5"}
LIMITS = "Limits of the tier Start, in force now"


@pytest.fixture
def as_ada(visit, client, cast):
    cast.sign_in(client, cast.ada)
    return visit


def test_the_first_line_says_which_tier(as_ada):
    page = as_ada.get("/")

    assert page.h1 == "Acme"
    assert page.one(".page-header-lead").get_text() == "Your organisation is on the tier Start."


def test_the_words_say_what_the_tier_allows(as_ada):
    text = as_ada.get("/").text

    assert "You can call Fable 5, Haiku 4.5, Opus 5 and Sonnet 5" in text
    assert "up to 25 live API keys" in text
    assert (
        "1,000 requests per minute, 500,000 input tokens per minute and "
        "100,000 output tokens per minute" in text
    )
    assert "All models together: $500 of spend per calendar month." in text


def test_the_table_holds_every_limit_of_the_tier(as_ada):
    table = as_ada.get("/").table(LIMITS)

    models = ["Fable 5", "Haiku 4.5", "Opus 5", "Sonnet 5"]
    assert table.columns == ["Limit", *models, "All models together"]
    assert [row["Sonnet 5"] for row in table.rows] == [
        "1,000",
        "2,000,000",
        "400,000",
        "— no limit",
    ]
    assert table.row("Output tokens per minute")["Fable 5"] == "100,000"
    assert table.row("Spend per calendar month")["All models together"] == "$500"


def test_without_a_key_the_next_step_is_the_first_one(as_ada):
    page = as_ada.get("/")

    assert page.link("Issue your first key") == "/orgs/acme/keys/new"


def test_with_a_key_the_next_step_is_to_use_it(as_ada, sessions, cast):
    with sessions() as session, transaction(session):
        make_key(session, org=session.get_one(Org, cast.acme.id))

    page = as_ada.get("/")

    assert "1 live API key of at most 25" in page.text
    assert page.link("See your API keys") == "/orgs/acme/keys"


def test_a_viewer_is_told_who_issues_keys(visit, client, cast):
    cast.sign_in(client, cast.cleo)

    page = visit.get("/")

    assert "an owner, manager or developer issues them" in page.text
    assert "Issue your first key" not in page.text


def test_an_organisation_has_the_same_page_under_its_own_address(as_ada):
    assert as_ada.get("/orgs/acme").text == as_ada.get("/").text


def test_a_slash_too_many_does_no_harm(as_ada):
    assert as_ada.get("/orgs/acme/", redirect="/orgs/acme").h1 == "Acme"


def test_an_outsider_finds_nothing(as_ada):
    as_ada.get("/orgs/delta", status=404)
    as_ada.get("/orgs/nobody", status=404)


def test_the_number_of_queries_does_not_grow_with_keys(as_ada, sessions, cast, count_queries):
    as_ada.get("/")
    with count_queries() as few:
        as_ada.get("/")
    with sessions() as session, transaction(session):
        for _ in range(20):
            make_key(session, org=session.get_one(Org, cast.acme.id))

    with count_queries() as many:
        as_ada.get("/")

    assert len(many) == len(few)


def test_signed_out_there_is_the_front_page_and_it_may_be_cached(visit):
    page = visit.get("/")

    assert page.h1 == "Limits you can plan with"
    assert page.headers["Cache-Control"] == "no-cache"
    assert page.headers["ETag"]
    assert "Cookie" in page.headers["Vary"]


def test_a_person_without_an_organisation_is_told_so(visit, client, cast, sessions):
    from portal.orgs.models import Membership

    with sessions() as session, transaction(session):
        session.delete(session.get_one(Membership, (cast.acme.id, cast.ben.user_id)))
    cast.sign_in(client, cast.ben)

    assert visit.get("/").h1 == "No organisation"


@pytest.fixture
def cut(publish):
    """Change 2 lowers Start · Opus 5 · requests per minute on day 40."""
    return publish(change_file(rows=[{**ROW, "quota": 800}], effective_at=in_days(40)))


def test_a_tightening_ahead_comes_before_all_else(as_ada, cut):
    page = as_ada.get("/")

    assert page.all(".page-header-lead") == [
        (
            "Your organisation is on the tier Start. From 2026-12-12 12:00 UTC its limits get tighter."
        )
    ]
    assert page.all("h2")[0] == "What will change for you"
    assert page.all(".ahead-step") == [
        (
            "From 2026-12-12 12:00 UTC: Start · Opus 5 · requests per minute: 1,000 → 800"
            " (\u221220 %) (change 2)."
        )
    ]
    assert page.link("change 2") == "/changelog/2"


def test_what_takes_nothing_away_stands_further_down(as_ada, publish):
    publish(change_file(rows=[{**ROW, "quota": 2000}], effective_at=in_days(3)))

    page = as_ada.get("/")

    assert page.all("h2").index("What will change for you") > 0
    assert "Nothing of it takes anything away from you." in page.text


def test_what_touches_another_tier_is_not_told(as_ada, publish):
    publish(change_file(effective_at=in_days(40)))

    page = as_ada.get("/")

    assert "Nothing: no change is announced that touches the tier Start." in page.text
    assert not page.all(".ahead-step")


def test_once_it_is_in_force_it_is_no_longer_ahead(visit, client, cast, cut, clock):
    clock.advance(days=40)
    cast.sign_in(client, cast.ada)

    page = visit.get("/")

    assert "Nothing: no change is announced" in page.text
    assert page.table(LIMITS).row("Requests per minute")["Opus 5"] == "800"


def test_what_is_held_is_said_to_be_held(as_ada, cut, run):
    run("changes", "hold", "2", "--reason", "Wait.")

    steps = as_ada.get("/").all(".ahead-step")

    assert steps == ["Change 2, Fewer requests, is held: it takes no effect until it is released."]


def test_a_withdrawn_change_is_not_ahead(as_ada, cut, run):
    run("changes", "withdraw", "2", "--reason", "We found room.")

    assert "Nothing: no change is announced" in as_ada.get("/").text
