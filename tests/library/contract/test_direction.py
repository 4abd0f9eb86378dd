"""A step that is called not tightening refuses nothing that fitted before it."""

from collections import Counter
from random import Random

import pytest

from plimsoll.contract.direction import Direction, direction_of, implies, overall, tightens
from plimsoll.contract.limits import Kind
from tests.library.contract.limit_sets import (
    Meter,
    Request,
    bucket,
    first_refusal,
    in_flight,
    pair,
    window,
    worst_case_refused,
)

PAIRS = [1_000, pytest.param(10_000, marks=pytest.mark.long)]
DAY = 86_400
# A Monday, 00:00 UTC: all windows but months begin here.
MONDAY_MS = 1_795_392_000_000
TAKES_AWAY = {Direction.TIGHTENING, Direction.MIXED}


def shape(before, after):
    """What kind of step a pair is, to see that none is missing among the random ones."""
    periods = {limit.cell.period for limit in before} ^ {limit.cell.period for limit in after}
    kinds = frozenset(limit.cell.kind for limit in [*before, *after])
    return kinds, bool(periods)


@pytest.mark.parametrize("pairs", PAIRS)
def test_what_fitted_before_a_step_that_does_not_tighten_fits_after_it(pairs):
    rng, drawn, judged = Random(3), 0, Counter()  # noqa: S311 -- no secret
    while judged.total() < pairs:
        before, after = pair(rng)
        drawn += 1
        if tightens(before, after):
            continue
        judged[shape(before, after)] += 1

        assert first_refusal(before, after, rng) is None, (before, after)

    # Enough are judged of every shape, and "tightens" is not simply said of everything else.
    assert judged.total() / drawn > 0.5
    for kinds in ({Kind.BUCKET}, {Kind.WINDOW}, {Kind.BUCKET, Kind.WINDOW}):
        assert judged[(frozenset(kinds), True)] > pairs * 0.02
        assert judged[(frozenset(kinds), False)] > pairs * 0.02
    assert judged[(frozenset({Kind.CONCURRENCY}), False)] > pairs * 0.003


def test_what_is_used_and_carried_over_is_not_refused_for_it_where_each_limit_grew():
    """A step under way: the counters of limits that stay keep what is used."""
    rng, judged = Random(4), 0  # noqa: S311 -- no secret
    while judged < 2_000:
        before, after = pair(rng)
        own = {limit.cell: limit for limit in before}
        grew = all(implies(own.get(limit.cell, limit), limit) for limit in after)
        if tightens(before, after) or not grew:
            continue
        judged += 1

        assert first_refusal(before, after, rng, switch=rng.randint(1, 9)) is None, (before, after)


def test_a_step_of_one_bucket_called_tightening_does_refuse_something():
    rng, judged = Random(5), 0  # noqa: S311 -- no secret
    while judged < 400:
        period, quota, burst = rng.choice((60, 90)), rng.randint(1, 10), rng.randint(1, 9)
        before = bucket(period, quota, burst)
        other, more = rng.choice((period, 5, 60)), rng.choice((0, 0, 1, -1))
        after = bucket(other, max(1, quota * other // period + more), max(1, burst - more))
        if tightens([before], [after]):
            judged += 1

            assert worst_case_refused(before, after)


def test_a_step_of_one_window_called_tightening_does_refuse_something_where_periods_nest():
    rng, judged = Random(7), 0  # noqa: S311 -- no secret
    while judged < 400:
        period, quota, many = rng.choice((12, 60, 3600)), rng.randint(1, 9), rng.choice((1, 2, 6))
        longer = rng.random() < 0.5
        after = (
            window(period * many, max(0, quota * many + rng.choice((-1, 0, -quota))))
            if longer
            else window(period // many, max(0, quota + rng.choice((-1, 0, 1))))
        )
        expected = after.quota < (quota * many if longer else quota)
        judged += expected

        assert tightens([window(period, quota)], [after]) == expected
        assert worst_case_refused(window(period, quota), after) == expected


def test_windows_whose_periods_do_not_nest_tighten_unless_nothing_was_admitted():
    """90 minutes meet two windows of an hour: an hourly quota implies no such limit."""
    before, after = window(3600, 10), window(5400, 15)

    assert worst_case_refused(before, after)
    assert tightens([before], [after])
    assert tightens([after], [before])


def refused(before, after, *requests):
    old, new = Meter(before), Meter(after)
    asked = [Request(MONDAY_MS + at_ms, amount) for at_ms, amount in requests]
    assert all(old.admits(request) for request in asked)
    return not all(new.admits(request) for request in asked)


SECOND, HOUR = 1_000, 3_600_000
# Its thirty days: the Monday is the 23rd.
NOVEMBER = [(day * DAY * SECOND, 10) for day in range(-22, 8)]


@pytest.mark.parametrize(
    ("before", "after", "requests"),
    [
        # A bucket's burst, its rate, and both in another period.
        ([bucket(60, 60, 60)], [bucket(60, 60, 59)], [(0, 60)]),
        ([bucket(60, 60, 60)], [bucket(60, 59, 60)], [(0, 60), (60 * SECOND, 60)]),
        ([bucket(60, 60, 60)], [bucket(3600, 3599, 60)], [(0, 60), (60 * SECOND, 60)]),
        # The same number in a longer period.
        ([bucket(60, 60, 60)], [bucket(3600, 60, 60)], [(0, 60), (60 * SECOND, 60)]),
        ([window(60, 60)], [window(3600, 60)], [(0, 60), (60 * SECOND, 60)]),
        ([window(60, 60)], [window(60, 59)], [(0, 60)]),
        # An hour's worth may come in one minute of it.
        ([window(3600, 60)], [window(60, 59)], [(0, 60)]),
        ([window(60, 10)], [window(120, 19)], [(0, 10), (60 * SECOND, 10)]),
        # 90 minutes do not lie within two hours, nor two hours of quota within 90 minutes.
        ([window(3600, 10)], [window(5400, 15)], [(0, 10), (HOUR, 10)]),
        ([window(7200, 10)], [window(5400, 10)], [(5_400_000, 10), (2 * HOUR, 10)]),
        ([window(DAY, 10)], [window("month", 299)], NOVEMBER),
        ([window("month", 10)], [window(DAY, 9)], [(0, 10)]),
        ([window(604_800, 10)], [window("month", 19)], [(0, 10), (-DAY * SECOND, 10)][::-1]),
        # A window opens at once, a bucket bit by bit; a window closes, a bucket never does.
        ([window(60, 60)], [bucket(60, 60, 60)], [(59_999, 60), (60_000, 60)]),
        ([bucket(60, 60, 60)], [window(60, 60)], [(0, 60), (SECOND, 1)]),
        # Another limit beside, or the first of all.
        ([bucket(60, 60, 60)], [bucket(60, 60, 60), window(DAY, 100)], [(0, 60), (HOUR, 60)]),
        ([], [window(60, 5)], [(0, 6)]),
        ([], [in_flight(5)], [(0, 6)]),
        ([in_flight(5)], [in_flight(4)], [(0, 5)]),
        ([window(60, 5)], [window(60, 0)], [(0, 1)]),
    ],
)
def test_a_step_that_refuses_something_tightens(before, after, requests):
    assert refused(before, after, *requests)
    assert tightens(before, after)
    assert direction_of(before, after) in TAKES_AWAY


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ([bucket(3600, 4000, 4000)], [bucket(60, 4000, 4000)], Direction.LOOSENING),
        ([window(3600, 4000)], [window(60, 4000)], Direction.LOOSENING),
        ([window(60, 4000)], [window(3600, 240_000)], Direction.LOOSENING),
        ([window(18_000, 100)], [window(604_800, 3_360)], Direction.MIXED),
        ([window(18_000, 100)], [window(90_000, 500)], Direction.LOOSENING),
        ([bucket(60, 60, 60)], [], Direction.LOOSENING),
        ([bucket(60, 60, 60)], [bucket(60, 61, 60)], Direction.LOOSENING),
        ([bucket(60, 60, 60)], [bucket(60, 60, 61)], Direction.LOOSENING),
        ([in_flight(5)], [in_flight(6)], Direction.LOOSENING),
        ([in_flight(5)], [], Direction.LOOSENING),
        ([bucket(60, 60, 60), window(DAY, 100)], [window(DAY, 100)], Direction.LOOSENING),
        ([window("month", 9)], [window("month", 10)], Direction.LOOSENING),
        ([window("month", 9)], [window("month", 8)], Direction.TIGHTENING),
        # The same rate and burst in other words.
        ([bucket(60, 60, 9)], [bucket(1, 1, 9)], Direction.NEUTRAL),
        ([bucket(90, 3, 9)], [bucket(60, 2, 9)], Direction.NEUTRAL),
        ([], [], Direction.NEUTRAL),
        ([window(60, 60)], [window(60, 60)], Direction.NEUTRAL),
        # A limit that another one implies already says nothing new.
        ([window(60, 10)], [window(60, 10), window(3600, 600)], Direction.NEUTRAL),
        # Near misses of equal rates.
        ([bucket(90, 3, 9)], [bucket(7, 0, 0)], Direction.TIGHTENING),
        ([bucket(3600, 3600, 9)], [bucket(7, 6, 9)], Direction.TIGHTENING),
        ([bucket(3, 1, 9)], [bucket(86_400, 28_799, 9)], Direction.TIGHTENING),
        # One limit is not implied by two together.
        ([bucket(60, 60, 5), bucket(3600, 60, 60)], [bucket(60, 60, 60)], Direction.LOOSENING),
        ([bucket(60, 60, 5), bucket(3600, 60, 60)], [bucket(60, 60, 9)], Direction.LOOSENING),
        ([bucket(60, 60, 60), bucket(3600, 60, 90)], [bucket(60, 60, 59)], Direction.MIXED),
    ],
)
def test_the_direction_of_a_step(before, after, direction):
    assert direction_of(before, after) is direction
    assert tightens(before, after) == (direction in TAKES_AWAY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([bucket(60, 60, 60)], [bucket(60, 120, 59)]),
        ([bucket(60, 60, 60)], [bucket(60, 59, 120)]),
        ([window(60, 60)], [window(3600, 60 * 59)]),
        ([window(60, 60), window(DAY, 100)], [window(60, 90), window(DAY, 90)]),
    ],
)
def test_more_in_one_respect_does_not_make_up_for_less_in_another(before, after):
    assert direction_of(before, after) in TAKES_AWAY


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([], Direction.NEUTRAL),
        ([Direction.NEUTRAL, Direction.NEUTRAL], Direction.NEUTRAL),
        ([Direction.NEUTRAL, Direction.LOOSENING], Direction.LOOSENING),
        ([Direction.TIGHTENING, Direction.NEUTRAL], Direction.TIGHTENING),
        ([Direction.TIGHTENING, Direction.LOOSENING], Direction.MIXED),
        ([Direction.LOOSENING, Direction.LOOSENING], Direction.LOOSENING),
        ([Direction.MIXED], Direction.MIXED),
        ([Direction.MIXED, Direction.LOOSENING], Direction.MIXED),
        ([Direction.MIXED, Direction.TIGHTENING], Direction.MIXED),
    ],
)
def test_directions_together(parts, whole):
    assert overall(parts) is whole
    assert overall(iter(reversed(parts))) is whole


def test_a_step_to_the_same_limits_or_to_none_is_never_a_tightening():
    rng = Random(6)  # noqa: S311 -- no secret
    for _ in range(1_000):
        before, _ = pair(rng)

        assert direction_of(before, before) is Direction.NEUTRAL
        assert direction_of(before, []) is (Direction.LOOSENING if before else Direction.NEUTRAL)
        assert direction_of([], before) is (Direction.TIGHTENING if before else Direction.NEUTRAL)
