import pytest

from plimsoll.contract.limits import Cell, Kind, Limit
from portal.console import words


@pytest.mark.parametrize(
    ("metric", "quota", "period", "text"),
    [
        ("requests", 1000, 60, "1,000 requests per minute"),
        ("input_tokens", 2_000_000, 86_400, "2,000,000 input tokens per day"),
        ("requests", 5, 18_000, "5 requests per 5 hours"),
        ("requests", 5, 90, "5 requests per 90 seconds"),
        ("spend_microusd", 500_000_000, "month", "$500 of spend per calendar month"),
        ("spend_microusd", 1_250_000, 604_800, "$1.25 of spend per week"),
        ("spend_microusd", 1, 60, "1 microdollars of spend per minute"),
        ("concurrent_requests", 4, None, "4 requests at once"),
    ],
)
def test_a_limit_reads_as_a_sentence_part(metric, quota, period, text):
    limit = Limit(Cell("build", "*", metric, Kind.WINDOW, period), quota)

    assert words.allowance(limit) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_words_are_listed_as_people_list_them(given, text):
    assert words.listing(given) == text
