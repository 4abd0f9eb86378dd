"""The arithmetic of one limit: what fits, when it fits again, what a changed quota takes over."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract.limits import Cell, Kind, Limit
from plimsoll.contract.windows import (
    EMPTY,
    NEVER,
    UNKNOWN,
    Bucket,
    Concurrency,
    Window,
    gauge_of,
    window_bounds,
)

NOW = 1_795_400_000_000
HOUR_MS = 3_600_000

QUOTAS = st.integers(1, 10_000)
PERIODS = st.sampled_from([1, 7, 60, 3600])
STEPS_MS = st.integers(-5_000, 60_000)


@st.composite
def buckets(draw):
    return Bucket(quota=draw(QUOTAS), burst=draw(QUOTAS), period_seconds=draw(PERIODS))


@st.composite
def windows(draw):
    period = draw(st.sampled_from([1, 60, 18_000, 86_400, 604_800, "month"]))
    return Window(quota=draw(QUOTAS), period=period)


@st.composite
def used_states(draw, gauges):
    """A gauge and a state that charges at several instants led to, also beyond what fits."""
    gauge, state, now = draw(gauges), EMPTY, NOW
    for _ in range(draw(st.integers(0, 4))):
        now += draw(STEPS_MS)
        state = gauge.charge(state, draw(st.integers(0, 12_000)), now)
    return gauge, state, now + draw(STEPS_MS)


ANY_STATE = used_states(buckets() | windows())


@given(ANY_STATE, st.integers(1, 10_000))
def test_waiting_exactly_as_told_admits_and_one_millisecond_less_does_not(used, amount):
    gauge, state, now = used
    wait = gauge.wait_ms(state, amount, now)

    if wait == NEVER:
        assert amount > gauge.capacity
    else:
        assert gauge.wait_ms(state, amount, now + wait) == 0
    if wait > 0:
        assert gauge.wait_ms(state, amount, now + wait - 1) == 1


@given(ANY_STATE)
def test_what_remains_fits_and_one_more_does_not(used):
    gauge, state, now = used
    remaining = gauge.remaining(state, now)

    assert 0 <= remaining <= gauge.capacity
    assert gauge.wait_ms(state, remaining, now) == 0
    assert gauge.wait_ms(state, remaining + 1, now) != 0


@given(ANY_STATE)
def test_used_and_remaining_are_the_capacity_unless_overdrawn(used):
    gauge, state, now = used

    total = gauge.used(state, now) + gauge.remaining(state, now)

    assert total == max(gauge.capacity, gauge.used(state, now))


@given(ANY_STATE)
def test_at_the_instant_told_everything_is_free_and_not_before(used):
    gauge, state, now = used
    free_at = gauge.free_at_ms(state, now)

    assert free_at >= now
    assert gauge.used(state, free_at) == 0
    if isinstance(gauge, Bucket) and free_at > max(now, state[1]):
        assert gauge.used(state, free_at - 1) > 0


@given(ANY_STATE, st.integers(1, 10**9))
def test_a_clock_that_steps_back_never_gives_anything_back(used, step):
    gauge, state, now = used
    earlier = now - step

    assert gauge.used(state, earlier) >= gauge.used(state, now)
    assert gauge.charge(state, 0, earlier)[1] >= state[1]
    assert gauge.charge(gauge.charge(state, 0, earlier), 0, now) == gauge.charge(state, 0, now)


@given(ANY_STATE, st.lists(STEPS_MS, max_size=6))
def test_looking_at_a_state_in_between_changes_nothing(used, steps):
    gauge, state, now = used
    looked_at = state
    for step in steps:
        looked_at = gauge.charge(looked_at, 0, now + step)
    last = now + 60_001

    assert gauge.used(looked_at, last) == gauge.used(state, last)


@given(ANY_STATE)
def test_an_amount_of_nothing_always_fits(used):
    gauge, state, now = used

    assert gauge.wait_ms(state, 0, now) == 0
    assert Concurrency(quota=0).wait_ms(EMPTY, 0, now) == 0


@given(buckets(), st.lists(st.tuples(st.integers(0, 60_000), st.integers(1, 10_000)), max_size=30))
def test_while_the_quota_stands_a_bucket_decides_as_gcra(bucket, requests):
    """GCRA: theoretical arrival time, advanced by cost * period / quota, at most burst ahead."""
    per_unit = Fraction(bucket._unit, bucket.quota)
    state, arrival, now = EMPTY, Fraction(0), NOW
    for step, amount in requests:
        now += step
        advanced = max(arrival, Fraction(now)) + amount * per_unit
        conforms = advanced - now <= bucket.capacity * per_unit

        assert (bucket.wait_ms(state, amount, now) == 0) == conforms
        if conforms:
            state, arrival = bucket.charge(state, amount, now), advanced


@given(ANY_STATE, QUOTAS)
def test_a_changed_quota_takes_the_used_amount_over(used, quota):
    gauge, state, now = used
    now = max(now, state[1])
    if isinstance(gauge, Bucket):
        changed = Bucket(quota=quota, burst=quota, period_seconds=gauge._unit // 1000)
    else:
        changed = Window(quota=quota, period=gauge._period)
    state = gauge.charge(state, 0, now)

    assert changed.used(state, now) == gauge.used(state, now)
    assert changed.remaining(state, now) == max(0, quota - gauge.used(state, now))


def test_a_lowered_quota_is_overdrawn_until_enough_has_leaked():
    generous = Bucket(quota=100, burst=100, period_seconds=60)
    strict = Bucket(quota=10, burst=10, period_seconds=60)
    state = generous.charge(EMPTY, 100, NOW)

    assert strict.remaining(state, NOW) == 0
    # 91 have to leak at 10 a minute.
    assert strict.wait_ms(state, 1, NOW) == 91 * 6_000


def test_a_bucket_refills_between_two_whole_amounts():
    bucket = Bucket(quota=7, burst=7, period_seconds=60)
    state = bucket.charge(EMPTY, 7, NOW)

    # One of seven a minute leaks in 8,571.43 ms.
    assert bucket.wait_ms(state, 1, NOW) == 8_572
    assert bucket.used(state, NOW + 1) == 7
    assert bucket.free_at_ms(state, NOW) == NOW + 60_000


@pytest.mark.parametrize(
    "gauge", [Bucket(quota=0, burst=5, period_seconds=60), Window(quota=0, period=60)]
)
def test_a_quota_of_zero_never_admits(gauge):
    assert gauge.wait_ms(EMPTY, 1, NOW) == NEVER
    assert gauge.remaining(EMPTY, NOW) == 0


def test_a_bucket_lowered_to_zero_is_never_free_again():
    state = Bucket(quota=5, burst=5, period_seconds=60).charge(EMPTY, 5, NOW)
    never = Bucket(quota=0, burst=0, period_seconds=60)

    assert never.free_at_ms(state, NOW + HOUR_MS) is None
    assert never.wait_ms(state, 1, NOW + HOUR_MS) == NEVER
    assert never.free_at_ms(EMPTY, NOW) == NOW


def test_more_than_a_limit_ever_holds_never_fits():
    assert Bucket(quota=100, burst=5, period_seconds=60).wait_ms(EMPTY, 6, NOW) == NEVER
    assert Window(quota=5, period=60).wait_ms(EMPTY, 6, NOW) == NEVER
    assert Concurrency(quota=5).wait_ms(EMPTY, 6, NOW) == NEVER


def test_requests_in_flight_wait_for_others_to_end():
    gauge = Concurrency(quota=2)
    state = gauge.charge(gauge.charge(EMPTY, 1, NOW), 1, NOW)

    assert gauge.wait_ms(state, 1, NOW) == UNKNOWN
    assert (gauge.used(state, NOW), gauge.remaining(state, NOW)) == (2, 0)
    assert gauge.free_at_ms(state, NOW) is None


@given(windows(), st.integers(0, 2**41), st.integers(0, 10**7))
def test_the_reset_instant_of_an_open_window_does_not_move(window, start, step):
    state = window.charge(EMPTY, 1, start)
    reset = window.free_at_ms(state, start)
    later = min(start + step, reset - 1)

    assert window.free_at_ms(window.charge(state, 5, later), later) == reset
    assert window.free_at_ms(EMPTY, later) == reset


@given(st.integers(1, 2**32), st.integers(-(2**35), 2**35))
def test_windows_lie_without_gaps_from_the_anchor_on(period, at):
    start, end = window_bounds(period, at)

    assert start <= at < end == start + period
    assert (start - 345_600) % period == 0
    assert window_bounds(period, end)[0] == end


@given(st.integers(0, 4_000_000_000))
def test_a_month_is_the_calendar_month_in_utc(at):
    start, end = (datetime.fromtimestamp(each, UTC) for each in window_bounds("month", at))
    day = datetime.fromtimestamp(at, UTC)

    assert (start.year, start.month, start.day, start.hour) == (day.year, day.month, 1, 0)
    assert start <= day < end
    assert (end.day, (end - start).days in {28, 29, 30, 31}) == (1, True)


def test_days_turn_at_midnight_and_weeks_on_monday():
    wednesday = int(datetime(2026, 11, 25, 15, 30, tzinfo=UTC).timestamp())

    day = [datetime.fromtimestamp(each, UTC) for each in window_bounds(86_400, wednesday)]
    week = [datetime.fromtimestamp(each, UTC) for each in window_bounds(604_800, wednesday)]

    assert day == [datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)]
    assert week == [datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)]


def test_concurrency_has_no_windows():
    with pytest.raises(ValueError, match="no windows"):
        window_bounds(None, 0)


@pytest.mark.parametrize(
    ("limit", "kind"),
    [
        (Limit(Cell("t", "*", "requests", Kind.BUCKET, 60), 5, 9), Bucket),
        (Limit(Cell("t", "*", "requests", Kind.WINDOW, "month"), 5), Window),
        (Limit(Cell("t", "*", "concurrent_requests", Kind.CONCURRENCY, None), 5), Concurrency),
    ],
)
def test_each_kind_of_limit_has_its_arithmetic(limit, kind):
    gauge = gauge_of(limit)

    assert type(gauge) is kind
    assert gauge.kind is limit.cell.kind
    assert gauge.quota == 5


@pytest.mark.parametrize(
    "limit",
    [
        Limit(Cell("t", "*", "requests", Kind.BUCKET, 60), 5),
        Limit(Cell("t", "*", "requests", Kind.BUCKET, "month"), 5, 5),
        Limit(Cell("t", "*", "requests", Kind.WINDOW, None), 5),
    ],
)
def test_a_limit_that_no_parser_lets_through_has_no_arithmetic(limit):
    with pytest.raises(ValueError, match="requests"):
        gauge_of(limit)
