import json
from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.tiers.commands import assign_tier
from portal.tiers.grants import GrantRequest, grant
from portal.tiers.jobs import run_moves
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.words import Identity
from portal.upgrades import commands
from tests.support.factories import add_member, make_key, make_user

pytestmark = pytest.mark.usefixtures("clock")

ADDRESS = "/orgs/acme/tier"


def panel(page, slug):
    return [" ".join(li.get_text().split()) for li in page.soup.select(f"#needs-{slug} li")]


@pytest.fixture
def assign(sessions, cast):
    def act(tier, **values):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            assign_tier(session, actor=cast.root.actor, org=org, tier=tier, reason="So.", **values)

    return act


def test_the_first_line_says_the_tier_and_what_the_next_needs(as_ada):
    page = as_ada.get(ADDRESS)

    (lead,) = page.all(".page-header-lead")
    assert lead.startswith("Acme is on the tier Start, since ")
    assert lead.endswith("The next is Build: you meet 1 of its 3 requirements.")


def test_the_checklist_shows_how_far_the_organisation_is(as_ada, age):
    age(5)

    page = as_ada.get(ADDRESS)

    assert panel(page, "build") == [
        "Not met Account 5 of 7 days old",
        "Not met Used on 0 of 7 days",
        "Met E-mail confirmed: done",
    ]
    assert panel(page, "scale") == [
        "Not met Account 5 of 30 days old",
        "Met E-mail confirmed: done",
        "Not met Second factor: not yet",
    ]


def test_a_second_factor_counts_once_every_owner_has_one(
    as_ada, ready, sessions, cast, give_factor
):
    assert panel(as_ada.get(ADDRESS), "scale")[2] == "Met Second factor: done"
    with sessions() as session, transaction(session):
        other = make_user(session)
        add_member(session, org=session.get_one(Org, cast.acme.id), user=other, role="owner")

    line = panel(as_ada.get(ADDRESS), "scale")[2]

    assert line == ("Not met Second factor: not yet: 1 of 2 owners have one")


def test_it_leads_to_where_a_second_factor_is_turned_on(as_ada):
    assert as_ada.get(ADDRESS).link("on the page of their account") == "/account"


def test_a_tier_that_requires_nothing_counts_no_requirements(as_ada, app, tmp_path):
    tier = {"slug": "port", "name": "Port", "rank": 4, "entry": "contact", "description": "Big."}
    row = {"tier": "port", "model": "opus-5", "metric": "requests", "kind": "window"}
    change = {
        "title": "Port",
        "reason": "Asked for.",
        "tiers": [{**tier, "requirements": {}, "keys_max": None}],
        "offers": [{"tier": "port", "model": "opus-5"}],
        "rows": [{**row, "period": 60, "quota": 99_999}],
    }
    file = tmp_path / "change.json"
    file.write_text(json.dumps(change))
    done = app.test_cli_runner().invoke(args=["changes", "publish", str(file)])
    assert done.exit_code == 0, done.output

    page = as_ada.get(ADDRESS)

    text = page.one("#needs-port").get_text()
    assert "It requires nothing." in text
    assert "0 of 0" not in page.text


def test_what_is_used_beyond_a_lower_tier_is_listed_before_and_after(
    as_ada, assign, sessions, cast, clock
):
    assign("scale")
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        for _ in range(27):
            make_key(session, org=org, actor=cast.ada.actor)
    decision = TierDecision(tier="start", reason="So.", effective_at=clock.at + timedelta(days=31))
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        decide_tier(session, actor=cast.root.actor, org=org, decision=decision)
    kept = "27 API keys are live, and Start allows 25. All go on working"

    assert kept in as_ada.get(ADDRESS).one("#move").get_text()

    clock.advance(days=31)
    run_moves(sessions)
    cast.sign_in(as_ada.client, cast.ada)  # the session is over by then
    page = as_ada.get(ADDRESS)

    text = page.one("#overage").get_text()
    assert kept in text
    assert "Opus 5 · requests per minute: 10,000 → 1,000." in text


def test_the_history_says_how_and_why(as_ada, assign, clock):
    clock.advance(days=1)
    assign("build")

    rows = as_ada.get(ADDRESS).table("Your tiers so far").rows

    assert [(row["Tier"], row["How"], row["Reason"]) for row in rows] == [
        ("Build", "By our staff", "So."),
        ("Start", "At the start", "Where everyone begins."),
    ]


def test_on_the_highest_tier_it_says_so(as_ada, assign):
    assign("scale")

    assert "There is no higher one." in as_ada.get(ADDRESS).text


def test_after_a_decision_of_the_staff_nothing_is_promised_to_happen_by_itself(
    as_ada, assign, sessions, cast
):
    assign("build")
    decision = TierDecision(tier="start", reason="Spam.", for_abuse=True)
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        decide_tier(session, actor=cast.root.actor, org=org, decision=decision)

    page = as_ada.get(ADDRESS)

    assert "Our staff decided your tier, so nothing moves you up by itself." in page.text


def test_grants_and_a_planned_move_are_shown(as_ada, sessions, cast, clock):
    limit = Identity("opus-5", "requests", "bucket", 60)
    request = GrantRequest(
        limit=limit, quota=5000, ends_at=clock.at + timedelta(days=9), reason="A fair."
    )
    decision = TierDecision(
        tier="build", reason="They grow.", effective_at=clock.at + timedelta(days=10)
    )
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        grant(session, actor=cast.root.actor, org=org, request=request)
        decide_tier(session, actor=cast.root.actor, org=org, decision=decision)

    page = as_ada.get(ADDRESS)

    assert page.table("Grants").rows[0]["Reason"] == "A fair."
    assert "They grow." in page.one("#move").get_text()
    assert "A move is planned for you, so nothing moves you up by itself." in page.text


def test_tiers_are_compared_on_their_limits(as_ada):
    row = as_ada.get(ADDRESS).table("Limits for Opus 5").row("Requests per minute")

    assert list(row)[1:] == ["Start (your tier)", "Build", "Scale"]
    assert [value.split()[0] for value in list(row.values())[1:]] == ["1,000", "5,000", "10,000"]


def test_who_may_not_request_is_told_who_may(visit, client, cast):
    cast.sign_in(client, cast.ben)

    page = visit.get(ADDRESS)

    assert "An owner or manager of Acme can request it." in page.text
    assert "Request Scale" not in page.all("a")


def test_an_open_request_takes_the_place_of_the_button(as_ada, send, step):
    step(commands.take_up, send())

    page = as_ada.get(ADDRESS)

    assert "Your request is open: in review." in page.text
    assert "Request Scale" not in page.all("a")
    assert page.table("Requests").rows[0]["State"] == "In review"


def test_to_outsiders_there_is_nothing_here(visit, client, cast):
    cast.sign_in(client, cast.dan)

    visit.get(ADDRESS, status=404)


def test_the_navigation_leads_here(as_ada):
    assert as_ada.get("/").link("Tier") == ADDRESS
