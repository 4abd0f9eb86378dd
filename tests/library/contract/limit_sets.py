"""Random sets of limits, and requests that look for a difference between two of them.

A set is what a request of one organisation meets for one metric. The requests come where limits
differ first: full bursts, at window edges, at the exact instant of a refill, and a millisecond
to either side.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from plimsoll.contract.limits import Cell, Kind, Limit, Period
from plimsoll.contract.windows import EMPTY, Gauge, State, gauge_of, window_bounds

BUCKET_PERIODS = (1, 2, 3, 5, 7, 10, 60, 90, 3600, 86_400)
WINDOW_PERIODS: tuple[Period, ...] = (
    *(1, 2, 3, 5, 10, 12, 15, 20, 30, 60, 90, 120, 300, 3600, 5400, 7200, 18_000),
    *(86_400, 172_800, 604_800, 1_209_600, "month", "month", "month"),
)
STEPS = 18

# Where many windows end at once: months of 30, 31, 28 and 29 days, a Monday, a full day.
EDGES_MS = tuple(
    int(datetime(*day, tzinfo=UTC).timestamp()) * 1000
    for day in (
        *((2026, 12, 1), (2027, 1, 1), (2027, 2, 1), (2027, 3, 1), (2028, 2, 1), (2028, 3, 1)),
        *((2026, 11, 23), (2026, 11, 26)),
    )
)


class Request(NamedTuple):
    """An amount asked for at an instant; a negative one ends so many requests in flight."""

    at_ms: int
    amount: int


class Meter:
    """The limits of one set with their states."""

    def __init__(self, limits: Iterable[Limit], states: dict[Cell, State] | None = None) -> None:
        self.gauges: dict[Cell, Gauge] = {limit.cell: gauge_of(limit) for limit in limits}
        carried = states or {}
        self.states: dict[Cell, State] = {cell: carried.get(cell, EMPTY) for cell in self.gauges}

    def room(self, at_ms: int) -> int | None:
        """The largest amount that all limits admit now; None without limits."""
        rooms = [g.remaining(self.states[cell], at_ms) for cell, g in self.gauges.items()]
        return min(rooms, default=None)

    def admits(self, request: Request) -> bool:
        """Whether all limits admit the request; charges them if so."""
        for cell, gauge in self.gauges.items():
            if request.amount > 0 and gauge.wait_ms(
                self.states[cell], request.amount, request.at_ms
            ):
                return False
        for cell, gauge in self.gauges.items():
            used, mark = gauge.charge(self.states[cell], request.amount, request.at_ms)
            self.states[cell] = (used, mark)
        return True


def first_refusal(
    before: Iterable[Limit], after: Iterable[Limit], rng: Random, *, switch: int = 0
) -> list[Request] | None:
    """A sequence that `before` accepts whole and `after` does not, if one was met.

    From step `switch` on `after` is in force; what was used by then in limits of the same
    identity is carried over (LIMITS.md section 1, "Counters").
    """
    old, new = Meter(before), Meter(after)
    asked: list[Request] = []
    now = rng.choice(EDGES_MS) - rng.choice((0, 1, 999, 1000, 59_000, 3_000_000))
    for step in range(STEPS):
        if step == switch:
            new = Meter(after, old.states)
        request = _next_request(old, new, now, rng)
        now = request.at_ms
        if not request.amount or not old.admits(request):
            continue
        asked.append(request)
        if step >= switch and not new.admits(request):
            return asked
    return None


def _next_request(old: Meter, new: Meter, now: int, rng: Random) -> Request:
    now += _pause(old, new, now, rng)
    room = old.room(now)
    if room is None:
        room = 50
    if any(gauge.kind is Kind.CONCURRENCY for gauge in old.gauges.values()) and rng.random() < 0.4:
        in_flight = max(state[0] for state in old.states.values())
        return Request(now, -rng.randint(0, in_flight))
    greedy = rng.random()
    if greedy < 0.6 or room < 2:
        return Request(now, room)
    return Request(now, 1 if greedy < 0.8 else rng.randint(1, room))


def _pause(old: Meter, new: Meter, now: int, rng: Random) -> int:
    """Milliseconds to the next instant worth asking at."""
    kind = rng.random()
    if kind < 0.15:
        return 0
    meter = new if new.gauges and (kind < 0.5 or not old.gauges) else old
    if kind > 0.92 or not meter.gauges:
        return rng.choice((1, 500, 1000, 7_000, 60_000, 86_400_000))
    cell = rng.choice(sorted(meter.gauges))
    if cell.kind is Kind.CONCURRENCY:
        return 0
    instant = _edge(meter, cell, now, rng) + rng.choice((-1, 0, 0, 0, 1))
    return max(0, instant - now)


def _edge(meter: Meter, cell: Cell, now: int, rng: Random) -> int:
    gauge, state = meter.gauges[cell], meter.states[cell]
    if cell.kind is Kind.WINDOW:
        return window_bounds(cell.period, now // 1000)[1] * 1000
    if rng.random() < 0.5:
        return gauge.free_at_ms(state, now) or now
    return now + max(0, gauge.wait_ms(state, rng.randint(1, max(1, gauge.capacity)), now))


def worst_case_refused(before: Limit, after: Limit) -> bool:
    """Whether the most that one limit ever accepts meets a refusal by another of its kind."""
    if before.cell.kind is Kind.WINDOW:
        return any(_window_refused(before, after, start) for start in _starts(after))
    old, new, now = Meter([before]), Meter([after]), EDGES_MS[0]
    gauge = old.gauges[before.cell]
    for _ in range(300):
        if not new.admits(Request(now, gauge.capacity)):
            return True
        old.admits(Request(now, gauge.capacity))
        now += max(0, gauge.wait_ms(old.states[before.cell], gauge.capacity, now))
    return False


def _starts(after: Limit) -> Iterable[int]:
    start = window_bounds(after.cell.period, EDGES_MS[0] // 1000)[0]
    for _ in range(40):
        yield start
        start = window_bounds(after.cell.period, start)[1]


def _window_refused(before: Limit, after: Limit, start: int) -> bool:
    """Ask for the whole old quota as often as old windows meet the new one that begins then."""
    new, end = Meter([after]), window_bounds(after.cell.period, start)[1]
    at = start
    while at < end:
        if not new.admits(Request(at * 1000, before.quota)):
            return True
        at = window_bounds(before.cell.period, at)[1]
    return False


def pair(rng: Random) -> tuple[list[Limit], list[Limit]]:
    """A set and one derived from it, mostly so that nothing that fitted stops fitting."""
    if rng.random() < 0.05:
        quota = rng.randint(0, 6)
        changed = [_in_flight(quota + rng.choice((-1, 0, 1, 3)))] if rng.random() < 0.9 else []
        return ([_in_flight(quota)] if rng.random() < 0.9 else []), changed
    before = _distinct(_any_limit(rng) for _ in range(rng.choice((1, 1, 2, 2, 3))))
    kept = [limit for limit in before if rng.random() < 0.85]
    after = [_derived(limit, rng) for limit in kept for _ in range(rng.choice((1, 1, 1, 2)))]
    if rng.random() < 0.05:
        after.append(_any_limit(rng))
    return before, _distinct(after)


def bucket(period: int, quota: int, burst: int) -> Limit:
    return Limit(Cell("build", "sonnet-5", "requests", Kind.BUCKET, period), quota, burst)


def window(period: Period, quota: int) -> Limit:
    return Limit(Cell("build", "sonnet-5", "requests", Kind.WINDOW, period), quota)


def in_flight(quota: int) -> Limit:
    cell = Cell("build", "sonnet-5", "concurrent_requests", Kind.CONCURRENCY, None)
    return Limit(cell, quota)


def _in_flight(quota: int) -> Limit:
    return in_flight(max(0, quota))


def _any_limit(rng: Random) -> Limit:
    if rng.random() < 0.45:
        quota = rng.choice((0, 1, 1, 2, 3, 5, 7, 10, 60, 100))
        burst = rng.choice((1, 2, 3, 5, 10, quota, 2 * quota)) if quota else 0
        return bucket(rng.choice(BUCKET_PERIODS), quota, max(burst, 1 if quota else 0))
    return window(rng.choice(WINDOW_PERIODS), rng.choice((0, 1, 2, 3, 5, 8, 10, 30)))


def _derived(limit: Limit, rng: Random) -> Limit:
    off = rng.choice((0, 0, 0, 0, 0, 1, 4, -1)) if rng.random() < 0.7 else 0
    if limit.cell.kind is Kind.BUCKET:
        return _derived_bucket(limit, off, rng)
    return _derived_window(limit, off, rng)


def _derived_bucket(limit: Limit, off: int, rng: Random) -> Limit:
    if rng.random() < 0.04:
        return window(limit.cell.period, limit.quota + (limit.burst or 0))
    period = rng.choice((limit.cell.period, rng.choice(BUCKET_PERIODS)))
    # The same rate in another period, rounded up; `off` decides whether it is a little less.
    quota = max(0, -(-limit.quota * period // limit.cell.period) + off)
    burst = (limit.burst or 0) + rng.choice((0, 0, 0, 1, 5, off))
    return bucket(period, quota, max(1, burst) if quota else 0)


def _derived_window(limit: Limit, off: int, rng: Random) -> Limit:
    period, quota = limit.cell.period, limit.quota
    if rng.random() < 0.04:
        return bucket(60, quota + 1, quota + 1)
    if period == "month":
        part = rng.choice(("month", "month", "month", 86_400, 43_200, 604_800))
        return window(part, max(0, quota + off))
    return _in_another_period(period, quota, off=off, rng=rng)


def _in_another_period(period: int, quota: int, *, off: int, rng: Random) -> Limit:
    way = rng.random()
    if way < 0.05:
        days = rng.choice((28, 30, 31))
        return window("month", max(0, quota * days * 86_400 // min(period, 86_400) + off))
    if way < 0.35:
        return window(period, max(0, quota + off))
    if way < 0.65:
        divisors = [part for part in range(1, min(period, 120) + 1) if period % part == 0]
        return window(period // rng.choice(divisors), max(0, quota + off))
    many = rng.choice((1, 2, 3, 7, 60))
    return window(period * many, max(0, quota * many + off))


def _distinct(limits: Iterable[Limit]) -> list[Limit]:
    """One limit per name, as in any lawful table."""
    return list({limit.cell.name: limit for limit in limits}.values())
