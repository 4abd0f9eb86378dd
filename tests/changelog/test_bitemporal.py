"""Ten questions of the form "what did the portal say on X about Y", to the page and to the document.

The story, in days from the start: on day 0 Build's 5,000 are announced to fall to 4,000 on day 40;
on day 10 that is put off to day 60; on day 20 a raise to 9,000 for the week from day 22 is
published; on day 30 a fall to 3,000 on day 80 is announced, and on day 35 withdrawn.
"""

import pytest

from tests.support.change_files import CELL, change_file, in_days

NAME = "build.sonnet-5.requests.1m"

pytestmark = pytest.mark.usefixtures("catalog", "clock")


@pytest.fixture(autouse=True)
def story(publish, run, clock):
    publish(change_file(effective_at=in_days(40)))
    clock.advance(days=10)
    run("changes", "reschedule", "2", "--effective-at", in_days(60))
    clock.advance(days=10)
    week = {"effective_at": in_days(22), "expires_at": in_days(29), "class": "temporary_raise"}
    publish(change_file(9000, title="A week of more", **week))
    clock.advance(days=10)
    publish(change_file(3000, title="Even fewer", effective_at=in_days(80)))
    clock.advance(days=5)
    run("changes", "withdraw", "4", "--reason", "We found room.")
    clock.advance(days=5)


# What was said on a day (None: what is said now, on day 40) about a day: the limit, and until when.
QUESTIONS = {
    "on day 5 about day 5: it holds until day 40": (5, 5, 5000, 40),
    "on day 5 about day 45: it has fallen": (5, 45, 4000, None),
    "on day 15 about day 45: it has not, that was put off": (15, 45, 5000, 60),
    "on day 15 about day 25: nobody knew of a raise": (15, 25, 5000, 60),
    "on day 25 about day 25: it is raised for some days yet": (25, 25, 9000, 29),
    "on day 21 about day 29: the raise is over at its end": (21, 29, 5000, 60),
    "on day 32 about day 90: it has fallen twice": (32, 90, 3000, None),
    "now about day 90: the second fall is withdrawn": (None, 90, 4000, None),
    "now about day 5: it was 5,000, and we know how it went on": (None, 5, 5000, 22),
    "on day 0 about the day before: there was nothing yet": (0, -1, None, None),
}


def asked(known_day, day):
    query = {"at": in_days(day, hours=-1 if day < 0 else 0)}
    return query if known_day is None else {**query, "known_at": in_days(known_day)}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_document_answers(client, question):
    known_day, day, quota, until = QUESTIONS[question]

    document = client.get("/limits.json", query_string=asked(known_day, day)).json

    found = {each["name"]: each for each in document["limits"]}.get(NAME)
    assert (found and found["quota"]) == quota
    if found:
        assert found["valid_to"] == (until and in_days(until))


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_page_answers(visit, question):
    known_day, day, quota, _ = QUESTIONS[question]

    page = visit.get("/limits", **asked(known_day, day))

    if quota is None:
        assert not page.all("table")
    else:
        row = page.table("Limits for Sonnet 5").row("Requests per minute")
        assert row["Build"].startswith(f"{quota:,} ")


def test_the_page_prints_both_instants_and_keeps_them_in_the_form(visit):
    page = visit.get("/limits", at="2026-12-24", known_at="2026-11-07")

    assert (
        "These are the limits at 2026-12-24 00:00 UTC, as they were published by 2026-11-07 00:00"
        " UTC." in page.text
    )
    form = page.form("Another time")
    assert form.values == {"at": ["2026-12-24"], "known_at": ["2026-11-07"]}


def test_what_was_known_before_anything_was_published_is_nothing(visit):
    page = visit.get("/limits", known_at="2026-11-01")

    assert not page.all("table")
    assert "Nothing was in force then" in page.text


def test_known_in_the_future_is_known_now(client):
    now = client.get("/limits.json").data

    assert client.get("/limits.json?known_at=2030-01-01").data == now


@pytest.mark.parametrize("known_at", ["yesterday", "2026-02-30", "9" * 40])
def test_a_bad_instant_is_refused_and_named(visit, client, known_at):
    answer = client.get("/limits.json", query_string={"known_at": known_at})
    page = visit.get("/limits", status=422, known_at=known_at)

    assert (answer.status_code, answer.json["field"]) == (422, "known_at")
    assert page.errors["known_at"]


def test_the_cell_of_the_story(client):
    """The questions are about the limit that the files change."""
    document = client.get("/limits.json").json

    (found,) = (each for each in document["limits"] if each["name"] == NAME)
    assert {name: found[name] for name in CELL} == CELL
