"""A refusal says what is wrong and names the first instant that would be right."""

from random import Random

import pytest

from plimsoll.contract import rules
from plimsoll.contract.canonical import encode
from plimsoll.contract.history import read
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.rules import RuleBroken, RuleCode, earliest_lawful
from plimsoll.contract.wording import duration
from tests.library.contract import naive
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_HOUR,
    DAY,
    SPEND,
    START,
    START_CELL,
    Chronicle,
    offer,
)
from tests.library.contract.histories import Author, histories
from tests.library.contract.samples import tier

PROMISED = "30 days' notice are promised; the earliest effective time is 2026-12-23 05:00 UTC."
RETIRED = "90 days' notice are promised; the earliest effective time is 2027-02-21 05:00 UTC."
DAILY = Cell("build", "*", "input_tokens", Kind.WINDOW, 86_400)


def test_the_refusal_of_the_specification_word_by_word(log):
    refused = log.refused(log.announcement(0, {BUILD: 4000}))

    assert refused.text == (
        "This lowers Build · Sonnet 5 · requests per minute from 5,000 to 4,000. 30 days' notice "
        "are promised; the earliest effective time is 2026-12-23 05:00 UTC."
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({START_CELL: 999}, "This lowers Start · Sonnet 5 · requests per minute from 1,000 to 999"),
        ({BUILD: (5000, 4000)}, "This lowers the burst of Build · Sonnet 5 · requests per minute"),
        ({DAILY: 10**6}, "This limits Build · all models · input tokens per day to 1,000,000"),
        ({BUILD_HOUR: 60}, "This limits Build · Sonnet 5 · requests per hour to 60"),
        (
            {SPEND: 5 * 10**8},
            "This lowers Build · all models · spend per calendar month from $1,000 to $500",
        ),
    ],
)
def test_a_refusal_names_the_limit_that_gets_tighter(log, rows, said):
    refused = log.refused(log.announcement(0, rows))

    assert refused.text.startswith(said)
    assert refused.text.endswith(f". {PROMISED}")


@pytest.mark.parametrize(
    ("fields", "said", "promised"),
    [
        (
            {"offers": [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]},
            "This withdraws Opus 5 from Build",
            RETIRED,
        ),
        (
            {"tiers": [tier("build", rank=2, entry="request", keys_max=24)]},
            "This lowers the number of keys on Build from 25 to 24",
            PROMISED,
        ),
        (
            {"tiers": [tier("build", rank=2, entry="contact")]},
            "This makes the way onto Build",
            PROMISED,
        ),
        (
            {"counting": {"reserve": {"build": {"output_tokens": 5000}}, "texts": {}}},
            "This raises the reserve of output tokens on Build from 4,096 to 5,000",
            PROMISED,
        ),
    ],
)
def test_a_refusal_names_whatever_else_gets_stricter(log, fields, said, promised):
    refused = log.refused(log.announcement(0, **fields))

    assert refused.text.startswith(said)
    assert refused.text.endswith(f". {promised}")


def test_a_refusal_names_the_step_of_another_change_that_the_act_would_make(log):
    log.announce(0, {BUILD: 6000}, effective=25 * DAY)

    refused = log.refused(log.announcement(0, {BUILD: 9000}, effective=DAY))

    assert refused.text.startswith(
        "After this, change 2 lowers Build · Sonnet 5 · requests per minute from 9,000 to 6,000 on "
        "2026-12-18 05:00 UTC."
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (30 * DAY, "30 days"),
        (3 * DAY, "72 hours"),
        (4 * DAY, "4 days"),
        (DAY, "1 day"),
        (2 * DAY, "48 hours"),
        (3600, "1 hour"),
        (90, "90 seconds"),
        (0, "0 hours"),
        (50 * DAY + 22 * 3600 + 61, "50 days 22 hours 1 minute 1 second"),
        (3 * DAY + 60, "4,321 minutes"),
    ],
)
def test_a_length_of_time_is_told_in_words(seconds, said):
    assert duration(seconds) == said


def test_the_notice_that_was_left_is_told_in_words():
    log = Chronicle({"released_seconds": DAY})
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)
    log.announce(0, {START_CELL: 500}, effective=40 * DAY)
    log.hold(2, at=30 * DAY - 60)
    log.hold(3, at=40 * DAY - 1)

    texts = [
        log.refused(log.act("released", number, at=50 * DAY, effective_at=50 * DAY)).text
        for number in (2, 3)
    ]

    assert "10 days 1 minute's notice is promised; " in texts[0]
    assert "1 day's notice is promised; the earliest effective time is 2027-01-13" in texts[1]


def test_an_instant_between_two_minutes_is_told_to_the_second(log):
    assert "2026-12-23 05:00:07 UTC." in log.refused(log.announcement(7, {BUILD: 4000})).text


# ---- the earliest instant, at random ----


def at_instant(entry, log, effective):
    """The same proposal for another instant, with `from` worked out anew."""
    body = entry["body"]
    moved = {**body, "effective_at": effective}
    if entry["kind"] == "change.announced":
        layer = naive.lasting(naive.changes(log), effective, before=(effective, body["change"]))
        rows = []
        for row in body["rows"]:
            stands = layer.limits.get(naive.cell_of(row))
            before = None if stands is None else {"quota": stands[0], "burst": stands[1]}
            rows.append({**row, "from": before})
        rows = [row for row in rows if row["from"] != row["to"]]
        moved["rows"] = sorted(rows, key=encode)
    return {**entry, "body": moved}


def is_lawful(entry, log, effective):
    try:
        rules.check(log, at_instant(entry, log, effective), entry["at"])
    except RuleBroken as refused:
        # To move a change to where it stands is lawful, and no news.
        return refused.code is RuleCode.NOTHING and entry["kind"] == "change.rescheduled"
    return True


def refusals(many):
    """Random acts on random logs that come too soon."""
    rng = Random(8)  # noqa: S311 -- no secret
    logs, kept = histories(5, 12)
    while many:
        author = Author(rng, kept)
        author.log.entries = list(rng.choice(logs))
        author.log.history = read(author.log.entries)
        author.now = author.log.entries[-1]["at"] - START
        entry = author.proposal()
        try:
            rules.check(author.log.entries, entry, entry["at"])
        except RuleBroken as refused:
            if refused.code is RuleCode.NOTICE and "effective_at" in entry["body"]:
                many -= 1
                yield author.log.entries, entry, refused


@pytest.mark.long
def test_the_earliest_instant_is_lawful_and_a_second_less_is_not():
    kinds = set()
    for log, entry, refused in refusals(80):
        if refused.earliest is None:
            continue
        kinds.add(entry["kind"])
        assert is_lawful(entry, log, refused.earliest), (log, entry)
        assert not is_lawful(entry, log, refused.earliest - 1), (log, entry)

    assert kinds == {"change.announced", "change.released", "change.rescheduled"}


def test_the_earliest_instant_is_told_before_publishing(log):
    body = log.announcement(0, {BUILD: 4000})["body"]
    announced = rules.Announcement.parse(body)

    assert earliest_lawful(log.history, announced, START) == START + 30 * DAY
    assert earliest_lawful(log.history, announced, START + 5) == START + 5 + 30 * DAY
