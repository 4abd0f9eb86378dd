"""What a move takes away, and why a grant raises nothing: on a catalogue with every case."""

import json

import pytest

from plimsoll.contract.adjustments import Grant
from portal.core import clock as core_clock
from portal.tiers import words
from portal.transparency.queries import policy
from tests.support.worlds import publish


def tier(slug: str, rank: int, keys_max: int | None) -> dict[str, object]:
    return {
        "slug": slug,
        "name": slug.capitalize(),
        "rank": rank,
        "entry": "automatic",
        "description": "A tier.",
        "requirements": {},
        "keys_max": keys_max,
    }


def row(tier: str, model: str, quota: int, **more: object) -> dict[str, object]:
    usual = {"metric": "requests", "kind": "bucket", "period": 60}
    return {"tier": tier, "model": model, "quota": quota, **usual, **more}


CATALOG = {
    "format": 1,
    "provider": "Test",
    "title": "Limits",
    "reason": "To test.",
    "models": [{"slug": "m", "name": "M"}, {"slug": "n", "name": "N"}],
    "tiers": [tier("low", 1, 5), tier("high", 2, None), tier("none", 3, 0)],
    "offers": [
        {"tier": "low", "model": "m"},
        {"tier": "high", "model": "m"},
        {"tier": "high", "model": "n"},
        {"tier": "none", "model": "m"},
    ],
    "counting": {"reserve": {}, "texts": {}},
    "rows": [
        row("low", "m", 10, burst=5),
        row("high", "m", 10, burst=10),
        row("low", "m", 100, metric="input_tokens"),
        row("low", "*", 5, metric="concurrent_requests", kind="concurrency", period=None),
        row("high", "*", 9, metric="concurrent_requests", kind="concurrency", period=None),
        # Of a model that low does not offer: nobody goes without it there.
        row("low", "n", 1),
        row("high", "n", 7),
    ],
}


@pytest.fixture
def in_force(sessions, settings):
    publish(sessions, settings, json.loads(json.dumps(CATALOG)))
    with sessions() as session:
        return policy(session, core_clock.timestamp())


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_move_down_is_told_thing_by_thing(in_force):
    assert words.losses(in_force, "high", "low") == (
        (
            "5 API keys can be live at once, not any number. "
            "Keys above that go on working; no further one can be issued."
        ),
        "N is no longer offered.",
        "M · input tokens per minute: 100, which was not limited so before.",
        "M · requests per minute: at most 5 in one go, not 10.",
        "All models together · requests at once: 9 → 5.",
    )


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_move_up_takes_nothing(in_force):
    assert words.losses(in_force, "low", "high") == ()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_tier_without_keys_takes_them_from_one_with_any_number_and_not_the_other_way(in_force):
    high, low, none = (in_force.tiers[slug] for slug in ("high", "low", "none"))

    assert words.keys_fewer(low, none).startswith("0 API keys can be live at once, not 5.")
    assert words.keys_fewer(none, low) is None
    assert words.keys_fewer(none, high) is None


@pytest.mark.parametrize(
    ("limit", "quota", "burst", "why"),
    [
        (("m", "requests", "bucket", 60), 11, None, None),
        (("m", "requests", "bucket", 60), 10, 6, None),
        (
            ("m", "requests", "bucket", 60),
            10,
            5,
            "The tier Low allows 10 requests per minute, at most 5 in one go, which is no less.",
        ),
        (
            ("m", "requests", "bucket", 3600),
            99,
            None,
            "The tier Low has no such limit: it does not limit this.",
        ),
        (("n", "requests", "bucket", 60), 99, None, "The tier Low does not offer N."),
        (("*", "concurrent_requests", "concurrency", None), 6, None, None),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_grant_says_why_it_raises_nothing(in_force, limit, quota, burst, why):
    given = Grant("grt_1", *limit, quota, burst if burst or limit[2] != "bucket" else quota, 0, 1)

    assert words.without_effect(in_force, in_force.tiers["low"], given) == why


LIMIT = ("m", "requests", "bucket", 60)


@pytest.mark.parametrize(
    ("other", "at", "counts"),
    [
        ((20, 20, 0, 100), 0, False),
        ((20, 20, 0, 99), 0, True),
        ((20, 20, 1, 100), 0, True),
        ((20, 20, 1, 100), 1, False),
        ((19, 20, 0, 100), 0, True),
        ((20, 19, 0, 100), 0, True),
        ((21, 21, 0, 101), 0, False),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_grant_beside_another_that_raises_as_much_for_as_long_raises_nothing(
    in_force, other, at, counts
):
    given = Grant("grt_2", *LIMIT, 20, 20, 0, 100)
    beside = [given, Grant("grt_1", *LIMIT, *other)]

    why = words.without_effect(in_force, in_force.tiers["low"], given, beside=beside, at=at)

    assert (why is None) is counts


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_of_two_alike_the_first_counts(in_force):
    first, second = (Grant(f"grt_{number}", *LIMIT, 20, 20, 0, 100) for number in (1, 2))

    said = [
        words.without_effect(in_force, in_force.tiers["low"], each, beside=[first, second])
        for each in (first, second)
    ]

    assert said == [
        None,
        "Another grant allows 20 requests per minute until 1970-01-01 00:01 UTC, which is no less.",
    ]
