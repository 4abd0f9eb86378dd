"""The local and the Redis limiter decide alike (LIMITS.md section 1, EXACT.md 30)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plimsoll.contract.windows import window_bounds
from plimsoll.ledger import Took
from tests.library.twin import CELLS, TwinClock, Twins, twin_world
from tests.support.valkey import Valkey

World = tuple[TwinClock, Callable[[], Twins]]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

# 2026 to 2060, whole milliseconds; among them the edges that calendars fall off.
INSTANTS = st.one_of(
    st.integers(1_767_225_600_000, 2_840_140_800_000),
    st.sampled_from(
        [
            *(1_798_761_600_000 + shift for shift in (-1, 0, 1)),  # the year turns
            *(1_835_395_200_000 + shift for shift in (-1, 0, 1)),  # 2028-02-29
            *(1_774_749_600_000 + shift for shift in (-1, 0)),  # a summer time that UTC has not
        ]
    ),
)
AMOUNTS = st.tuples(
    st.sampled_from([0, 1, 30, 700, 5001]), st.sampled_from([0, 1, 40, 299, 300, 301])
)
MAYBE = st.none() | st.integers(0, 900)
LIMITS = st.lists(st.sampled_from(range(len(CELLS))), min_size=1, unique=True)
ACTS = st.one_of(
    st.tuples(st.just("ask"), AMOUNTS, LIMITS),
    st.tuples(st.just("ask"), AMOUNTS, st.just(list(range(len(CELLS))))),
    st.tuples(st.just("settle"), st.integers(0, 30), MAYBE, MAYBE, st.booleans()),
    st.tuples(st.just("settle"), st.just(-1), MAYBE, MAYBE, st.just(value=False)),
    st.tuples(
        st.just("wait"),
        st.sampled_from([1, 7, 999, 5 * MINUTE, 15 * MINUTE - 1, HOUR, DAY, 27 * DAY])
        | st.integers(1, 20_000),
    ),
    st.tuples(st.just("wait for it"), st.sampled_from([-1, 0, 1])),
    st.tuples(
        st.just("quota"),
        st.sampled_from(range(len(CELLS))),
        st.sampled_from([0, 1, 3, 10, 500, 100_000]),
        st.integers(1, 700),
    ),
)


@pytest.fixture
def world(valkey: Valkey, tmp_path: Path) -> Iterator[World]:
    with twin_world(valkey, tmp_path / "state") as made:
        yield made


def act(twins: Twins, name: str, *how: object) -> None:
    if name == "ask":
        here, there = twins.ask(*how)  # type: ignore[arg-type]
        assert bool(here.decision_id) == bool(there.decision_id)
        assert (here.waits, here.states) == (there.waits, there.states)
    elif name == "settle":
        number, took_in, took_out, failed = how
        took = Took(took_in, took_out, 100 + (took_out or 0))  # type: ignore[arg-type, operator]
        assert len(set(twins.settle(number, took, failed=failed))) <= 1  # type: ignore[arg-type]
    elif name == "quota":
        twins.set_quota(*how)  # type: ignore[arg-type]
    else:
        (wait,) = how
        more = wait if name == "wait" else max(0, twins.last_wait + wait)  # type: ignore[operator]
        twins.clock.advance_ms(more)  # type: ignore[arg-type]
    here_used, there_used = twins.read()
    assert here_used == there_used


def run_through(world: World, at_ms: int, acts: list[tuple[object, ...]]) -> None:
    clock, make = world
    clock.move_to(at_ms)
    twins = make()
    for name, *how in acts:
        act(twins, str(name), *how)


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=100, deadline=None, suppress_health_check=QUIET)
@given(at_ms=INSTANTS, acts=st.lists(ACTS, min_size=5, max_size=30))
@example(  # a request that nobody ends is not in flight for ever
    at_ms=1_795_400_000_000,
    acts=[("ask", (0, 0), [5]), ("wait", 15 * MINUTE - 1), ("wait", 1), ("ask", (0, 0), [5])],
)
@example(  # what has leaked is gone, also when the quota is 0 afterwards
    at_ms=1_795_400_000_000,
    acts=[
        ("ask", (0, 1), [1]),
        ("wait", DAY),
        ("ask", (0, 0), [0, 1]),
        ("quota", 1, 0, 40),
        ("wait", 1),
    ],
)
@example(  # what has leaked since is not given back once more
    at_ms=1_795_400_000_000,
    acts=[
        ("ask", (0, 300), [1]),
        ("wait", 1000),
        ("ask", (0, 40), [1]),
        ("settle", 0, None, 0, False),
        ("ask", (0, 300), [1]),
    ],
)
@example(
    at_ms=1_795_400_000_000,
    acts=[("ask", (0, 300), [1]), ("wait for it", 0), ("quota", 1, 3, 100), ("ask", (0, 1), [1])],
)
def test_the_same_is_asked_and_the_same_is_said(
    world: World, at_ms: int, acts: list[tuple[object, ...]]
) -> None:
    run_through(world, at_ms, acts)


@pytest.mark.long
@settings(max_examples=500, deadline=None, suppress_health_check=QUIET)
@given(at_ms=INSTANTS, acts=st.lists(ACTS, min_size=20, max_size=60))
def test_the_same_is_said_over_long_histories(
    world: World, at_ms: int, acts: list[tuple[object, ...]]
) -> None:
    run_through(world, at_ms, acts)


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(at_ms=INSTANTS | st.integers(1_767_225_600_000, 16_000_000_000_000))
@example(at_ms=4_107_542_399_999)  # the last of February 2100, which has no 29th
@example(at_ms=4_107_542_400_000)
def test_months_end_where_the_calendar_says(world: World, at_ms: int) -> None:
    clock, make = world
    clock.move_to(at_ms)

    _, there = make().ask((1, 1), [3])

    assert there.states[0][1] == window_bounds("month", at_ms // 1000)[1] * 1000


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(
    quota=st.integers(1, 2**53 // 60_000 // 7 - 1),
    share=st.integers(1, 10**6),
    waited=st.integers(0, 90_000),
)
def test_the_largest_numbers_stay_exact(world: World, quota: int, share: int, waited: int) -> None:
    clock, make = world
    clock.move_to(1_795_400_000_000)
    twins = make()
    twins.set_quota(1, quota, quota)
    amount = max(1, quota * share // 10**6)

    for _ in range(3):
        act(twins, "ask", (0, amount), [1])
        clock.advance_ms(waited)
    act(twins, "settle", 0, None, 2**53 - 1, False)  # noqa: FBT003 - as the others are written
    act(twins, "ask", (0, 1), [1])


class Passed:
    """What one bucket let through since its quota last changed."""

    def __init__(self, twins: Twins, place: int) -> None:
        self._twins, self._place = twins, place
        # What each request took, and when it came; settled requests took what they said.
        self.took: list[list[int]] = []

    def ask(self, amount: int) -> bool:
        here, there = self._twins.ask((0, amount), [self._place])
        assert (here.waits, here.states) == (there.waits, there.states)
        if here.decision_id:
            self.took.append([self._twins.clock.at_ms, amount])
        return bool(here.decision_id)

    def settle(self, number: int, part: int) -> None:
        if not self.took:
            return
        number %= len(self.took)
        amount = self.took[number][1] * part // 100
        if all(self._twins.settle(number, Took(None, amount, 0), failed=False)):
            self.took[number][1] = amount
        here_used, there_used = self._twins.read()
        assert here_used == there_used

    def excess(self, since_ms: int) -> int:
        """By how much, at most, it let through more than burst and refill; above 0 it is too much."""
        unit, (quota, burst) = CELLS[self._place][2] * 1000, self._twins.values[self._place]  # type: ignore[operator]
        worst = 0
        for first, (start, _) in enumerate(self.took):
            total = 0
            for end, took in self.took[first:] if start >= since_ms else []:
                total += took * unit
                worst = max(worst, total - (burst or 0) * unit - quota * (end - start))
        return worst


STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from([1, 40, 299, 300])),
    st.tuples(st.just("settle"), st.tuples(st.integers(0, 30), st.sampled_from([0, 10, 99, 100]))),
    st.tuples(st.just("wait"), st.sampled_from([1, 50, 999, 2100, 7000])),
)
HISTORIES = st.lists(STEPS, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(
    quotas=st.tuples(*2 * [st.sampled_from([1, 10, 1000, 100_000])]),
    before=HISTORIES,
    after=HISTORIES,
)
@example(  # lowered: what is in flight leaks by the new quota
    quotas=(60_000, 1),
    before=[("ask", 300)],
    after=[("wait", 999), ("settle", (0, 99)), ("ask", 300), ("ask", 299), ("ask", 300)],
)
@example(  # raised: what has leaked by the new quota is not given back
    quotas=(1, 100_000),
    before=[("ask", 300)],
    after=[("wait", 999), ("ask", 300), ("settle", (0, 0)), ("ask", 299)],
)
def test_a_quota_that_changes_under_requests_in_flight_lets_no_more_through(
    world: World,
    quotas: tuple[int, int],
    before: list[tuple[str, object]],
    after: list[tuple[str, object]],
) -> None:
    clock, make = world
    clock.move_to(1_795_400_000_000)
    twins = make()
    passed = Passed(twins, 1)

    for quota, history in zip(quotas, (before, after), strict=True):
        twins.set_quota(1, quota, 300)
        changed_at = clock.at_ms
        for name, how in history:
            if name == "ask":
                passed.ask(how)  # type: ignore[arg-type]
            elif name == "settle":
                passed.settle(*how)  # type: ignore[misc]
            else:
                clock.advance_ms(how)  # type: ignore[arg-type]

    assert passed.excess(changed_at) <= 0
