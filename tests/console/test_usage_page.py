"""Usage: the gates' own counters as load lines, and use over time as charts with their tables."""

import csv
import io

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.usage import queries
from portal.usage.jobs import keep
from tests.support.change_files import change_file
from tests.support.factories import make_key
from tests.support.wire import Line, Wire, enrol
from tests.usage.reporting import REQUESTS, bucket, tell

PAGE = "/orgs/acme/usage"
TABLE = "Requests, newest first; without the times in which nothing happened"


@pytest.fixture
def wire(app, sessions, clock):
    return Wire(app, enrol(sessions))


@pytest.fixture
def line(wire, clock):
    """A gateway's line; it has said before that nothing waits there."""
    wire.report(None, health={"counters": "local", "spool": 0})
    return Line(wire, clock)


@pytest.fixture
def as_cleo(visit, client, cast):
    """The checking client, signed in as one who only reads."""
    cast.sign_in(client, cast.cleo)
    return visit


@pytest.fixture
def key(sessions, cast):
    with sessions() as session, transaction(session):
        return make_key(session, org=session.get_one(Org, cast.acme.id), name="Billing").key.id


def lead(page):
    return page.one(".page-header-lead").get_text(" ", strip=True)


def test_the_first_line_says_how_near_the_wall_is(line, as_cleo, cast, clock):
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 430))

    page = as_cleo.get(PAGE)

    assert "The fullest is Opus 5 · requests per minute: 430 of 1,000 requests this minute" in lead(
        page
    )
    assert "570 left" in page.text
    assert f"Full again at {clock.at:%Y-%m-%d} 12:00:26 UTC" in page.text
    assert "as of 2026-11-02 12:00 UTC" in page.text


def test_a_limit_that_is_used_up_is_said_first(line, as_cleo, cast, clock):
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 1000))

    page = as_cleo.get(PAGE)

    assert "Opus 5 · requests per minute is used up" in lead(page)
    assert page.one('.meter[data-level="over"]')


def test_a_limit_that_admits_nothing_is_said_though_nothing_of_it_can_be_used(
    line, visit, client, cast, clock, publish
):
    cut = {"tier": "start", "model": "opus-5", "metric": "requests", "kind": "bucket", "period": 60}
    at = clock.at.replace(year=clock.at.year + 1)
    publish(change_file(rows=[{**cut, "quota": 0}], effective_at=f"{at:%Y-%m-%dT%H:%M:%SZ}"))
    clock.set(at)
    line.send()
    cast.sign_in(client, cast.cleo)

    page = visit.get(PAGE)

    assert "Nothing passes Opus 5 · requests per minute: it allows none." in lead(page)
    assert "none allowed" in page.text


def test_silence_is_never_shown_as_nothing_used(wire, as_cleo, line, clock):
    """A gateway that cannot report may refuse while the portal knows of no use: no line may say 0."""
    assert "Nothing of your limits is used" in lead(as_cleo.get(PAGE))

    clock.advance(minutes=2)
    page = as_cleo.get(PAGE)

    assert "not known for certain" in lead(page)
    assert "gw-1 has told nothing since 2026-11-02 12:00 UTC" in page.text
    assert {tag["data-level"] for tag in page.soup.select(".meter")} == {"unknown"}
    assert " 0 of" not in page.text

    wire.report(None, health={"counters": "local", "spool": 3})
    assert "may be refused where a line still shows room" in as_cleo.get(PAGE).text


def test_what_is_known_of_a_part_is_said_to_be_the_least(line, as_cleo, cast, clock):
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 900, seconds=600))
    clock.advance(minutes=2)

    page = as_cleo.get(PAGE)

    assert "Not every gateway is heard, so a limit may be reached." in lead(page)
    assert "at least 700 of 1,000 requests this minute" in page.text
    assert "at most 300 left" in page.text


def test_what_never_reported_and_what_is_not_enrolled_are_told_apart(as_cleo, sessions, clock):
    assert lead(as_cleo.get(PAGE)) == "No gateway is enrolled: nothing is counted yet."
    enrol(sessions)

    assert "gw-1 has never told what it counts" in as_cleo.get(PAGE).text


def test_gateways_that_count_for_themselves_are_added_up_and_said(
    line, app, sessions, as_cleo, cast, clock
):
    second = Wire(app, enrol(sessions, "gw-2"))
    second.report(None, health={"counters": "local", "spool": 0})
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 400))
    tell(Line(second, clock), cast.acme.id, REQUESTS, bucket(clock, 400))

    page = as_cleo.get(PAGE)

    assert "800 of 1,000 requests this minute" in page.text
    assert "Enforced per gateway: up to 2 times the limit" in page.text


def test_an_announced_limit_is_a_dashed_mark_with_its_date(line, as_cleo, cast, clock, publish):
    cut = {"tier": "start", "model": "opus-5", "metric": "requests", "kind": "bucket", "period": 60}
    publish(
        change_file(
            rows=[{**cut, "quota": 300}], effective_at=f"{clock.at.year + 1}-01-01T00:00:00Z"
        )
    )
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 430))

    page = as_cleo.get(PAGE)

    assert "limit 300 from 2027-01-01 00:00 UTC" in page.text
    assert page.one('.meter-gauge .meter-future[data-crossed="yes"]')


def test_outsiders_find_no_usage(visit, client, cast, clock):
    cast.sign_in(client, cast.dan)

    for path in (PAGE, f"{PAGE}.csv", f"{PAGE}/warnings"):
        visit.get(path, status=404)


def test_what_cannot_be_asked_is_said_beside_its_field(as_cleo, clock):
    page = as_cleo.get(PAGE, status=422, span="century", model="none-such")

    assert set(page.errors) == {"span", "model"}


def test_a_look_again_brings_the_meter_alone_and_waits_longer_where_nothing_moved(
    line, as_cleo, cast, clock
):
    again = as_cleo.get(PAGE).one("[data-poll]")

    same = as_cleo.send("GET", again["href"], htmx=True)
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 430))
    moved = as_cleo.send("GET", same.one("[data-poll]")["href"], htmx=True)

    waits = [each.one("[data-poll]")["data-poll"] for each in (same, moved)]
    assert (again["data-poll"], *waits) == ("5", "10", "5")
    assert not same.soup.select(".chart")


def use(clock, key, *, ago=0, model="opus-5", requests=12, refused=None):
    minute = int(clock.at.timestamp()) // 60 * 60 - ago
    counts = {"requests": requests, "input_tokens": 40 * requests, "output_tokens": requests}
    return [key, model, counts | ({"refused": refused} if refused else {}), minute]


@pytest.fixture
def used(line, key, sessions, cast, clock):
    """Two keys, two models, in this hour and two hours ago."""
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        other = make_key(session, org=org, name="=Spare").key.id
    answer = line.send(
        use(clock, key, refused={REQUESTS: 3}),
        use(clock, other, model="sonnet-5", requests=5),
        use(clock, key, ago=7200, requests=100),
    )
    assert answer.status_code == 200
    return key, other


def test_each_chart_has_its_table_behind_it(used, as_cleo):
    page = as_cleo.get(PAGE)

    table = page.table(TABLE)
    newest = {"Opus 5": "12", "Sonnet 5": "5", "Together": "17"}
    assert table.rows[0] == {"From (UTC)": "2026-11-02 12:00 UTC", **newest}
    assert table.rows[1]["Together"] == "100"
    assert "Requests 117 in all, at most 100 in one hour." in page.text
    assert "Output tokens 117 in all" in page.text
    assert "Refused requests 3 in all" in page.text
    assert len(page.soup.select(".chart-drawing")) == 4


def test_keys_are_compared_and_a_model_is_held_against_its_limit(used, as_cleo, both_ways):
    _, other = used
    form = as_cleo.get(PAGE).form("history")

    several = form.fill(span="week", by="key").submit(htmx=both_ways.is_htmx)
    form = as_cleo.get(PAGE).form("history")
    one = form.fill(key=[other]).submit(htmx=both_ways.is_htmx)
    limited = as_cleo.get(PAGE, model="opus-5", span="hour")

    assert [name[:7] for name in several.table(TABLE).columns[1:3]] == ["Billing", "=Spare "]
    assert "Requests 5 in all" in one.text
    assert "limit of 1,000 per minute lies far above" in limited.text


def test_by_key_the_last_hour_is_a_day_and_the_page_says_so(used, as_cleo):
    assert "so this is the last day" in as_cleo.get(PAGE, span="hour", by="key").text


def test_what_refused_is_listed_by_limit(used, as_cleo):
    row = as_cleo.get(PAGE).table("Refused requests by what refused them").rows[0]

    assert list(row.values()) == ["Opus 5 · requests per minute", "3", REQUESTS]


def test_the_file_holds_what_is_shown_and_no_formula(used, as_cleo, client):
    found = as_cleo.get(PAGE, by="key").one('a[href*=".csv"]')["href"]

    answer = client.get(found)
    rows = list(csv.DictReader(answer.text.splitlines()))

    assert answer.mimetype == "text/csv"
    assert [(row["from"][11:], row["requests"], row["refused"]) for row in rows] == [
        ("10:00:00Z", "100", "0"),
        ("12:00:00Z", "12", "3"),
        ("12:00:00Z", "5", "0"),
    ]
    assert rows[2]["name"].startswith("'=Spare")
    assert client.get(f"{PAGE}.csv?span=century").status_code == 404


def test_no_figure_of_another_organisation_is_on_any_page_or_file(used, visit, client, cast):
    key, _ = used
    cast.sign_in(client, cast.dan)

    page = visit.get("/orgs/delta/usage", by="key")
    visit.get("/orgs/delta/usage", key=key, status=422)

    assert "Requests None." in page.text
    assert client.get("/orgs/delta/usage.csv?by=key").text.count("\n") == 1


def test_a_look_at_a_thousand_keys_asks_no_more_than_at_two(
    used, as_cleo, sessions, cast, count_queries
):
    with count_queries() as few:
        as_cleo.get(PAGE, by="key")
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        for _ in range(3):
            make_key(session, org=org)
    with count_queries() as more:
        page = as_cleo.get(PAGE, by="key")

    assert len(more) == len(few)
    assert page.html.count("<option") < 130


def test_an_hour_that_is_packed_meanwhile_is_in_the_file_once(
    line, key, cast, client, clock, sessions, monkeypatch
):
    """On PostgreSQL two statements see two states, unless told otherwise."""
    minute = int(clock.at.timestamp()) // 60 * 60
    line.send([key, "opus-5", {"requests": 5}, minute])
    clock.advance(days=2)
    read_packs = queries._unpacked

    def while_packing(*arguments, **named):
        keep(sessions)
        return read_packs(*arguments, **named)

    monkeypatch.setattr(queries, "_unpacked", while_packing)
    cast.sign_in(client, cast.cleo)

    answer = client.get("/orgs/acme/usage.csv?span=week&by=model")

    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["requests"] for row in lines] == ["5"]
