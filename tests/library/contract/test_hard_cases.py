"""The cases that a rule on single diffs gets wrong (LIMITS.md section 2)."""

import pytest

from plimsoll.contract.direction import Direction
from plimsoll.contract.effect import effect_of
from plimsoll.contract.limits import Cell, Kind
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_HOUR,
    BUILD_OPUS,
    DAY,
    START,
    START_CELL,
    Chronicle,
    offer,
)
from tests.library.contract.samples import tier

# ---- two raises that make a cut ----


def test_two_raises_make_a_cut(log):
    log.announce(0, {BUILD: 6000}, effective=25 * DAY)

    refused = log.short_of_notice(log.announcement(1, {BUILD: 9000}, effective=20 * DAY))

    assert "change 2" in refused.text
    assert "from 9,000 to 6,000" in refused.text
    assert refused.earliest == START + 25 * DAY


def test_the_second_raise_may_come_with_the_first_or_take_its_place(log):
    log.announce(0, {BUILD: 6000}, effective=25 * DAY)

    together = log.twin()
    together.announce(1, {BUILD: 9000}, effective=25 * DAY)
    instead = log.replacing([2], 1)
    instead.announce(1, {BUILD: 9000}, effective=20 * DAY)

    assert together.quotas(25 * DAY - 1, 25 * DAY) == [5000, 9000]
    assert instead.quotas(20 * DAY - 1, 20 * DAY, 40 * DAY) == [5000, 9000, 9000]


def test_two_raises_may_make_a_cut_that_lies_its_notice_ahead(log):
    log.announce(0, {BUILD: 6000}, effective=25 * DAY + 30 * DAY)

    log.announce(25 * DAY, {BUILD: 9000})

    assert log.quotas(25 * DAY, 55 * DAY) == [9000, 6000]


def test_a_raise_before_an_announced_cut_makes_the_cut_larger(log):
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)

    refused = log.short_of_notice(log.announcement(1, {BUILD: 6000}))

    assert "from 6,000 to 4,000" in refused.text
    log.announce(1, {BUILD: 6000}, effective=30 * DAY)


def test_a_raise_of_one_limit_makes_no_cut_of_another(log):
    log.announce(0, {BUILD_OPUS: 6000}, effective=25 * DAY)

    log.announce(1, {BUILD: 9000}, effective=20 * DAY)

    assert log.quotas(26 * DAY) == [9000]


# ---- layers ----


def test_a_raise_planned_inside_an_emergency_does_not_end_it(log):
    log.announce(0, {BUILD: 6000}, effective=11 * DAY)
    log.announce(10 * DAY, {BUILD: 2000}, expires=12 * DAY, **{"class": "emergency_cut"})

    assert log.quotas(10 * DAY - 1, 10 * DAY, 11 * DAY, 12 * DAY - 1, 12 * DAY) == [
        5000,
        *(2000, 2000, 2000),
        6000,
    ]


def test_a_raise_published_inside_an_emergency_starts_from_the_lasting_limit(log):
    log.announce(0, {BUILD: 2000}, expires=2 * DAY, **{"class": "emergency_cut"})

    number = log.announce(DAY, {BUILD: 6000})

    assert effect_of(log.history, number).direction is Direction.LOOSENING
    assert effect_of(log.history, number).items[0].before.quota == 5000
    assert log.quotas(DAY, 2 * DAY) == [2000, 6000]


def test_a_raise_under_a_temporary_raise_is_no_cut(log):
    log.announce(0, {BUILD: 9000}, expires=20 * DAY, **{"class": "temporary_raise"})

    number = log.announce(10 * DAY, {BUILD: 6000})

    assert effect_of(log.history, number).direction is Direction.LOOSENING
    assert log.quotas(0, 10 * DAY, 20 * DAY - 1, 20 * DAY) == [9000, 9000, 9000, 6000]


def test_a_cut_under_a_temporary_raise_needs_its_notice_all_the_same(log):
    log.announce(0, {BUILD: 9000}, expires=90 * DAY, **{"class": "temporary_raise"})

    refused = log.short_of_notice(log.announcement(DAY, {BUILD: 4999}))

    assert refused.earliest == START + 31 * DAY
    assert "from 5,000 to 4,999" in refused.text


def test_the_end_of_a_temporary_raise_needs_no_notice(log):
    log.announce(0, {BUILD: 9000}, expires=60, **{"class": "temporary_raise"})

    assert log.quotas(0, 59, 60) == [9000, 9000, 5000]


# ---- sets ----


@pytest.mark.parametrize("kind", [Kind.BUCKET, Kind.WINDOW])
def test_4000_an_hour_to_4000_a_minute_is_a_raise_and_back_is_a_cut(log, kind):
    hourly = Cell("start", "sonnet-5", "input_tokens", kind, 3600)
    minutely = Cell("start", "sonnet-5", "input_tokens", kind, 60)
    log.announce(0, {hourly: 4000}, effective=30 * DAY)

    number = log.announce(31 * DAY, {hourly: None, minutely: 4000})
    back = log.announcement(32 * DAY, {hourly: 4000, minutely: None})

    assert effect_of(log.history, number).direction is Direction.LOOSENING
    assert log.short_of_notice(back).earliest == START + 62 * DAY


def test_a_limit_beside_another_tightens_though_no_number_falls(log):
    refused = log.short_of_notice(log.announcement(0, {BUILD_HOUR: 100_000}))

    assert refused.earliest == START + 30 * DAY
    assert "100,000" in refused.text


def test_a_limit_that_others_imply_takes_nothing_away(log):
    daily = Cell("start", "sonnet-5", "output_tokens", Kind.WINDOW, 86_400)
    hourly = Cell("start", "sonnet-5", "output_tokens", Kind.WINDOW, 3_600)
    log.announce(0, {hourly: 100}, effective=30 * DAY)

    number = log.announce(30 * DAY, {daily: 2400})

    assert effect_of(log.history, number).direction is Direction.NEUTRAL
    assert log.short_of_notice(log.announcement(30 * DAY, {daily: 2399}))


def test_a_higher_quota_does_not_pay_for_a_smaller_burst(log):
    refused = log.short_of_notice(log.announcement(0, {BUILD: (9000, 4999)}))

    assert "burst" in refused.text
    assert "from 5,000 to 4,999" in refused.text


def test_a_change_that_raises_and_cuts_is_mixed_and_needs_notice(log):
    rows = {BUILD: 4000, START_CELL: 2000}

    assert log.short_of_notice(log.announcement(0, rows)).earliest == START + 30 * DAY
    number = log.announce(0, rows, effective=30 * DAY)
    assert effect_of(log.history, number).direction is Direction.MIXED
    assert effect_of(log.history, number).tightened == {("build", "sonnet-5")}
    assert effect_of(log.history, number).tiers == {"build", "start"}


# ---- what is new ----


def test_a_new_model_and_a_new_tier_at_once_neither_tighten_nor_loosen(log):
    scale = Cell("scale", "fable-5", "requests", Kind.BUCKET, 60)
    shared = Cell("scale", "*", "spend_microusd", Kind.WINDOW, "month")

    number = log.announce(
        0,
        {scale: 1, shared: 1},
        models=[{"slug": "fable-5", "name": "Fable 5"}],
        tiers=[tier("scale", rank=3, entry="contact")],
        offers=[offer(("scale", "fable-5"))],
        counting={"reserve": {"scale": {"output_tokens": 9999}}, "texts": {}},
    )

    effect = effect_of(log.history, number)
    assert {item.direction for item in effect.items} <= {Direction.NEUTRAL, Direction.LOOSENING}
    assert {item.direction for item in effect.items if item.kind == "limit"} == {Direction.NEUTRAL}
    assert log.quotas(0, cell=scale) == [1]


def test_a_new_model_in_a_tier_that_stands_brings_its_limits_but_no_shared_one(log):
    opus = Cell("start", "opus-5", "requests", Kind.BUCKET, 60)
    shared = Cell("start", "*", "spend_microusd", Kind.WINDOW, "month")
    offers = [offer(("start", "opus-5"))]

    assert log.short_of_notice(log.announcement(0, {opus: 1, shared: 10**9}, offers=offers))
    log.announce(0, {opus: 1}, offers=offers)
    assert log.short_of_notice(log.announcement(0, {opus: (2, 1), START_CELL: 999}))


def test_a_metric_that_had_no_limit_gets_one_only_with_notice(log):
    tokens = Cell("start", "sonnet-5", "input_tokens", Kind.BUCKET, 60)

    assert log.short_of_notice(log.announcement(0, {tokens: 10**6})).earliest == START + 30 * DAY


def test_change_1_may_say_anything_at_once():
    log = Chronicle()

    assert effect_of(log.history, 1).direction is Direction.NEUTRAL
    assert log.quotas(-DAY - 1, -DAY) == [None, 5000]
