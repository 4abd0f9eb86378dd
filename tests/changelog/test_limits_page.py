from datetime import UTC, datetime

import pytest

from plimsoll.contract import canonical
from tests.support.change_files import change_file, in_days
from tests.support.worlds import SAMPLE, publish


def test_the_first_line_says_since_when_and_whether_anything_is_announced(visit, catalog):
    lead = visit.get("/limits").one(".page-header-lead")

    text = " ".join(lead.get_text().split())
    assert text == (
        "These limits are in force since 2026-11-02 11:00 UTC, by change 1."
        " No other change is announced."
    )


def test_the_tiers_stand_side_by_side(visit, catalog):
    table = visit.get("/limits").table("Limits for Opus 5")

    assert table.columns == ["Limit", "Start", "Build", "Scale"]
    row = table.row("Requests per minute")
    assert row["Limit"] == "Requests per minute refills continuously"
    assert row["Start"] == "1,000 1.44 million a day if spread evenly"
    assert row["Scale"].startswith("10,000 ")


def test_every_published_limit_is_on_the_page(visit, catalog):
    page = visit.get("/limits")

    rows = canonical.read(SAMPLE.read_bytes())["rows"]
    cells = page.soup.select("td.numeric strong")
    assert len(cells) == len(rows) == 39
    spend = page.table("Limits for All models together").row("Spend per calendar month")
    assert spend["Scale"] == "$200,000 about $6,666.67 a day if spread evenly"


def test_the_counting_rule_is_told_in_words(visit, catalog):
    facts = visit.get("/limits").facts

    assert facts["Input tokens"] == "Counted when the request is admitted."
    assert facts["Output tokens"].endswith("The reserve is 4,096 in every tier.")


def test_a_tier_says_how_to_enter_what_it_requires_and_how_many_keys(visit, catalog):
    card = visit.get("/limits").one("#tier-scale")

    text = " ".join(card.get_text(" ").split())
    assert "On request" in text
    assert "An account 30 days old, a confirmed e-mail address and a second factor" in text
    assert "Up to 75 live keys" in text


def test_the_page_leads_to_how_a_tier_is_entered(visit, catalog):
    text = "How to enter a tier, and how long decisions take"

    assert visit.get("/limits").link(text) == "/upgrades"


def test_a_signed_in_reader_finds_their_tier_marked(visit, client, cast):
    cast.sign_in(client, cast.ada)

    page = visit.get("/limits")

    assert page.text.startswith("Limits Acme is on Start.")
    assert page.table("Limits for Opus 5").columns[1] == "Start (your tier)"
    assert "Acme is here" in page.one("#tier-start").get_text()


def test_staff_without_an_organisation_read_it_like_anyone(visit, client, cast):
    cast.sign_in(client, cast.root)

    assert "your tier" not in visit.get("/limits").text


def test_before_change_1_the_page_says_so(visit):
    page = visit.get("/limits")

    assert "No limits are published yet" in page.text
    assert not page.all("table")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2026-12-24", "2026-12-24 00:00 UTC"),
        ("2026-12-24T12:30:05Z", "2026-12-24 12:30:05 UTC"),
        ("2026-12-24T12:30:00+02:00", "2026-12-24 10:30 UTC"),
        ("2026-12-24T12:30:00-00:30", "2026-12-24 13:00 UTC"),
        ("2026-12-24t12:30:00z", "2026-12-24 12:30 UTC"),
    ],
)
def test_another_instant_is_shown_and_said(visit, catalog, given, shown):
    page = visit.get("/limits", at=given)

    assert f"These are the limits at {shown}, as far as they are announced." in page.text
    assert page.form("Another time").values["at"] == [given]


def test_a_plus_that_the_address_turned_into_a_space_is_understood(visit, catalog):
    page = visit.get("/limits?at=2026-12-24T12:30:00+02:00")

    assert "2026-12-24 10:30 UTC" in page.text


def test_the_instant_at_which_a_change_takes_effect_belongs_to_it(visit, catalog):
    """In force for effective_at ≤ t (EXACT 2)."""
    page = visit.get("/limits", at="2026-11-02T11:00:00Z")
    assert page.text.startswith("Limits These are the limits at 2026-11-02 11:00 UTC")
    assert page.all("table")

    page = visit.get("/limits", at="2026-11-02T10:59:59Z")

    assert not page.all("table")
    assert page.text.startswith("Limits No limits were in force at 2026-11-02 10:59:59 UTC.")
    assert page.link("See the limits in force now") == "/limits"


def test_an_empty_field_means_now(visit, catalog):
    page = visit.get("/limits").form("Another time").fill(at="").submit()

    assert "These limits are in force since" in page.text


@pytest.mark.parametrize(
    "given",
    [
        "yesterday",
        "2026-02-30",
        "2026-12-24T12:30:00",
        "2026-12-24T12:30Z",
        "2026-12-24T25:00:00Z",
        "2026-12-24T12:30:00.5Z",
        "20261224",
        "2026-W01",
        "0001-01-01T00:00:00+14:00",
        "<script>",
        "9" * 5000,
    ],
)
def test_what_is_no_instant_gets_a_message_beside_the_field(visit, catalog, given):
    page = visit.get("/limits", at=given, status=422)

    assert page.errors["at"]
    assert page.form("Another time").values["at"] == [given]


def test_an_instant_far_away_is_no_trouble(visit, catalog):
    assert visit.get("/limits", at="9999-12-31").all("table")
    assert not visit.get("/limits", at="0001-01-02").all("table")


def test_signed_out_the_page_is_cacheable(client, catalog):
    answer = client.get("/limits")

    again = client.get("/limits", headers={"If-None-Match": answer.headers["ETag"]})

    assert again.status_code == 304
    assert "Cookie" in answer.headers["Vary"]


def test_words_of_the_catalogue_are_text_and_never_markup(visit, sessions, settings, app):
    catalog = canonical.read(SAMPLE.read_bytes())
    catalog["tiers"][0]["description"] = "<script>alert(1)</script>"
    catalog["models"][0]["name"] = "<b>Opus</b>"
    publish(sessions, settings, catalog)

    page = visit.get("/limits")

    assert "<script>alert(1)</script>" in page.text
    assert "<b>Opus</b>" in page.text
    assert not page.soup.select("main script, main b")


def test_the_clock_alone_moves_nothing(visit, client, catalog, clock):
    before = client.get("/limits").data
    clock.set(datetime(2030, 1, 1, tzinfo=UTC))

    assert client.get("/limits").data == before


@pytest.fixture
def planned(catalog, clock, publish):
    """Build's 5,000 fall on day 40 and rise on day 50; Haiku leaves Start on day 100."""
    publish(change_file(effective_at=in_days(40)))
    publish(change_file(6000, title="More again", effective_at=in_days(50)))
    offer = {"tier": "start", "model": "haiku-4.5", "offered": False}
    offer["replacement"] = {"tier": "start", "model": "sonnet-5"}
    publish({"title": "Gone", "reason": "Old.", "effective_at": in_days(100), "offers": [offer]})


def test_announced_values_stand_beside_the_present_ones(visit, planned):
    page = visit.get("/limits")

    cell = page.table("Limits for Sonnet 5").row("Requests per minute")["Build"]
    assert cell == (
        "5,000 7.2 million a day if spread evenly"
        " 4,000 from 2026-12-12 12:00 UTC, change 2 6,000 from 2026-12-22 12:00 UTC, change 3"
    )
    assert len(page.soup.select(".meter-marks .meter-future")) == 1
    cell = page.table("Limits for Haiku 4.5").row("Requests per minute")["Start"]
    assert cell.endswith("not offered from 2027-02-10 12:00 UTC, change 4")


def test_the_page_lists_what_is_announced(visit, planned):
    steps = visit.get("/limits").all(".ahead-step")

    assert [step.rpartition(" (")[2] for step in steps] == [
        "change 2).",
        "change 3).",
        "change 4).",
    ]


def test_at_its_instant_the_announced_value_is_the_present_one(visit, planned, clock):
    clock.advance(days=45)

    page = visit.get("/limits")

    cell = page.table("Limits for Sonnet 5").row("Requests per minute")["Build"]
    assert cell.startswith("4,000 ")
    assert "since change 2" in cell
    assert page.text.startswith(
        "Limits These limits are in force since 2026-12-12 12:00 UTC, by change 2"
    )


def test_the_end_of_a_raise_is_told_as_one(visit, catalog, clock, publish):
    week = {"class": "temporary_raise", "effective_at": in_days(1), "expires_at": in_days(8)}
    publish(change_file(9000, title="A week of more", **week))
    clock.advance(days=2)

    during = visit.get("/limits")
    clock.advance(days=7)
    after = visit.get("/limits")

    cell = during.table("Limits for Sonnet 5").row("Requests per minute")["Build"]
    assert cell.endswith("5,000 from 2026-11-10 12:00 UTC, end of change 2")
    assert "in force since 2026-11-10 12:00 UTC, by the end of change 2." in after.text


def test_no_cache_keeps_the_document_past_the_next_instant(client, planned, clock):
    clock.advance(days=39, hours=23, minutes=59, seconds=45)

    answer = client.get("/limits.json")

    assert answer.headers["Cache-Control"] == "public, max-age=15"


def test_the_page_costs_as_many_queries_for_many_changes_as_for_few(
    client, planned, publish, count_queries
):
    client.get("/limits")
    with count_queries() as few:
        client.get("/limits")
    for number in range(5):
        publish(change_file(7000 + 1000 * number, effective_at=in_days(60 + number)))
    client.get("/limits")

    with count_queries() as many:
        client.get("/limits")

    assert len(many) == len(few) <= 8
