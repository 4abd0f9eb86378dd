import pytest

from plimsoll.contract.direction import Direction
from plimsoll.contract.effect import Item
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import Cell, Kind, Limit
from plimsoll.contract.parts import PartKind
from portal.changelog import words
from portal.changelog.diff import lines_of


def limit(quota, *, metric="requests", period=60, kind=Kind.BUCKET, burst=None) -> Limit:
    if kind is Kind.BUCKET:
        burst = quota if burst is None else burst
    return Limit(Cell("build", "sonnet-5", metric, kind, period), quota, burst)


def window(quota, period, *, metric="requests") -> Limit:
    return limit(quota, metric=metric, period=period, kind=Kind.WINDOW)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (limit(1000), "1.44 million a day if spread evenly"),
        (limit(2_000_000), "2.88 billion a day if spread evenly"),
        (limit(800_000), "about 1.15 billion a day if spread evenly"),
        (limit(5), "7,200 a day if spread evenly"),
        (limit(300_000), "432 million a day if spread evenly"),
        (limit(1, period=1), "86,400 a day if spread evenly"),
        (window(1000, 18_000), "4,800 a day if spread evenly"),
        (window(1000, 604_800), "about 143 a day if spread evenly"),
        (window(1000, 86_400), "about 42 an hour if spread evenly"),
        (window(1, 604_800), None),
        (limit(0), None),
        (window(500_000_000, "month", metric="spend_microusd"), None),
        (limit(5, metric="concurrent_requests", period=None, kind=Kind.CONCURRENCY), None),
    ],
)
def test_everyday_terms(given, text):
    if given.cell.metric == "spend_microusd":
        text = "about $16.67 a day if spread evenly"

    assert words.spread(given) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (limit(1000), "1,000 requests per minute"),
        (window(7, 18_000), "7 requests per 5 hours"),
        (window(7, 604_800), "7 requests per week"),
        (window(500_000_000, "month", metric="spend_microusd"), "$500 of spend per calendar month"),
        (window(1_230_000, 86_400, metric="spend_microusd"), "$1.23 of spend per day"),
        (window(5, 90, metric="spend_microusd"), "5 microdollars of spend per 90 seconds"),
        (
            limit(5, metric="concurrent_requests", period=None, kind=Kind.CONCURRENCY),
            "5 requests at once",
        ),
    ],
)
def test_a_limit_in_words(given, text):
    assert words.allowance(given) == text


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (None, 1000, "1,000 (new)"),
        (1000, None, "1,000 (removed)"),
        (2_000_000, 1_500_000, "2,000,000 → 1,500,000 (\u221225 %)"),
        (1000, 1005, "1,000 → 1,005 (+1 %)"),
        (1000, 3000, "1,000 → 3,000 (+200 %)"),
        (0, 10, "0 → 10 (raised from 0)"),
    ],
)
def test_a_step(before, after, text):
    values = [None if quota is None else limit(quota) for quota in (before, after)]

    assert sentence(*values) == f"build · sonnet-5 · requests per minute: {text}"


def test_a_step_of_the_burst_alone_shows_both():
    assert sentence(limit(10), limit(10, burst=20)).endswith(": 10 → 10, at most 20 in one go")


def sentence(before, after):
    cell = limit(1).cell
    item = Item(
        PartKind.LIMIT, cell.tier, cell.model, cell.metric, cell, before, after, Direction.NEUTRAL
    )
    (line,) = lines_of([item], (Lasting(), Lasting()))
    return line.sentence


@pytest.mark.parametrize(
    ("period", "kind", "text"),
    [
        (60, Kind.BUCKET, "refills continuously"),
        ("month", Kind.WINDOW, "starts anew on the 1st, 00:00 UTC"),
        (86_400, Kind.WINDOW, "starts anew each day, 00:00 UTC"),
        (604_800, Kind.WINDOW, "starts anew each Monday, 00:00 UTC"),
        (18_000, Kind.WINDOW, "fixed windows"),
        (None, Kind.CONCURRENCY, "requests in flight"),
    ],
)
def test_how_a_limit_comes_back(period, kind, text):
    assert words.manner(Cell("build", "*", "requests", kind, period)) == text


def test_requirements_read_as_one_clause():
    wanted = {
        "email_confirmed": True,
        "second_factor": False,
        "account_age_days": 1,
        "active_days": 7,
        "paid_microusd": 5_000_000,
    }

    assert words.requirements(wanted) == (
        "a confirmed e-mail address, an account 1 day old, use on 7 days and $5 paid"
    )
    assert words.requirements({}) == "nothing"


def test_the_number_of_keys():
    said = [words.keys(keys_max) for keys_max in (1, 1200, None)]

    assert said == ["up to 1 live key", "up to 1,200 live keys", "no maximum"]
