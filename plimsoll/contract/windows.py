"""The arithmetic of limits: buckets, windows and concurrency (LIMITS.md section 1).

Everything is a pure function of (state, now) on whole numbers, so that the gate, the meter and a
replay of last month's traffic decide alike to the millisecond. A *gauge* holds the values of one
limit (`gauge_of`); the state it works on is a plain pair, `(used, mark)`, that starts as `EMPTY`
and outlives any gauge: when a quota changes, the new gauge goes on with the old state.

| kind | `used` | `mark` |
| --- | --- | --- |
| bucket | in units of 1/period_ms, falling by `quota` units a millisecond | when `used` stood |
| window | whole amount | end of the window that `used` belongs to |
| concurrency | requests in flight | 0 |

Marks and `now_ms` are Unix milliseconds. A clock that steps back changes nothing until it has
caught up with the mark: nothing refills twice and no window opens twice. An amount of 0 always
fits; a metric that is charged only on settlement (`Counted.SETTLED`) asks for 1 and charges 0.

To decide over several limits: ask each `wait_ms`, and when all answer 0 `charge` each and keep
its `Hold`. Waiting exactly `wait_ms` admits, one millisecond less does not.
"""

from typing import Literal, NamedTuple, TypeAlias

from plimsoll.contract.limits import (
    ANCHOR_SECONDS,
    EXACT_BOUND,
    Kind,
    Limit,
    Period,
    month_bounds,
)

State: TypeAlias = tuple[int, int]

EMPTY: State = (0, 0)

# What `wait_ms` says besides milliseconds: the amount is above what the limit ever admits at once
# (413 request_too_large), or it ends when other requests end, which no clock knows.
NEVER = -1
UNKNOWN = -2

# More is never counted, however much a settlement says: a store and a script hold no more exactly.
_MOST = EXACT_BOUND - 1


class Hold(NamedTuple):
    """What one admission took from one limit, kept until it is settled.

    `amount` is what was charged, `mark` the state's mark after the charge, `quota` the gauge's.
    """

    amount: int
    mark: int
    quota: int


class Bucket:
    """A leaky meter: holds at most `capacity` and refills `quota` per period, continuously.

    While the quota stands it decides as GCRA does. A bucket with quota 0 never admits anything.
    """

    __slots__ = ("_full", "_unit", "capacity", "quota")

    kind = Kind.BUCKET

    def __init__(self, *, quota: int, burst: int, period_seconds: int) -> None:
        self.quota = quota
        self.capacity = burst if quota else 0
        self._unit = period_seconds * 1000
        self._full = self.capacity * self._unit

    def wait_ms(self, state: State, amount: int, now_ms: int) -> int:
        """0 if `amount` fits now, else the exact milliseconds until it does, or `NEVER`."""
        if not amount:
            return 0
        if amount > self.capacity:
            return NEVER
        used, mark = state
        excess = used + amount * self._unit - self._full
        if excess <= 0:
            return 0
        # The ceiling of excess/quota, since after the floor the last unit would still be there.
        wait = mark - now_ms - (-excess // self.quota)
        return wait if wait > 0 else 0

    def charge(self, state: State, amount: int, now_ms: int) -> State:
        """The state after taking `amount`, whether it fits or not."""
        used, mark = state
        if now_ms > mark:
            used -= self.quota * (now_ms - mark)
            mark = now_ms
            if used < 0:
                used = 0
        used += amount * self._unit
        return (used if used < _MOST else _MOST), mark

    def settle(self, state: State, hold: Hold, *, actual: int, now_ms: int) -> State:
        """The state once it is known that the request took `actual`, not `hold.amount`.

        Gives back min(unused, max(0, held - refill since admission)): what has leaked meanwhile
        may have leaked from the unused part, and giving it back again would admit it twice.
        More than held is charged in full.
        """
        used, mark = self.charge(state, 0, now_ms)
        unused = (hold.amount - actual) * self._unit
        if unused > 0:
            # The quota may have changed since: the higher one never gives back too much.
            refill = max(self.quota, hold.quota) * (mark - hold.mark)
            unused = min(unused, max(0, hold.amount * self._unit - refill))
        return min(_MOST, max(0, used - unused)), mark

    def used(self, state: State, now_ms: int) -> int:
        """The amount in use, rounded up so that used + remaining is the capacity."""
        return -(-self.charge(state, 0, now_ms)[0] // self._unit)

    def remaining(self, state: State, now_ms: int) -> int:
        """The largest amount that fits now, 0 when a lower quota left less than nothing."""
        return max(0, self.capacity - self.used(state, now_ms))

    def free_at_ms(self, state: State, now_ms: int) -> int | None:
        """`full_at`: when used is 0 if nothing more comes; None if it never will be (quota 0)."""
        used, mark = state
        if not used:
            return now_ms
        if not self.quota:
            return None
        return max(now_ms, mark - (-used // self.quota))


class Window:
    """`quota` in each fixed window; windows lie the same for everyone (`window_bounds`)."""

    __slots__ = ("_period", "capacity", "quota")

    kind = Kind.WINDOW

    def __init__(self, *, quota: int, period: int | Literal["month"]) -> None:
        self.quota = self.capacity = quota
        self._period = period

    def wait_ms(self, state: State, amount: int, now_ms: int) -> int:
        """0 if `amount` fits now, else the milliseconds to the window's end, or `NEVER`."""
        if not amount:
            return 0
        if amount > self.quota:
            return NEVER
        used, mark = state
        if now_ms >= mark or used + amount <= self.quota:
            return 0
        return mark - now_ms

    def charge(self, state: State, amount: int, now_ms: int) -> State:
        """The state after taking `amount` from the window open now, whether it fits or not."""
        used, mark = state
        if now_ms >= mark:
            used, mark = 0, self._end_ms(now_ms)
        used += amount
        return (used if used < _MOST else _MOST), mark

    def settle(self, state: State, hold: Hold, *, actual: int, now_ms: int) -> State:
        """The state once it is known that the request took `actual`, not `hold.amount`.

        All that was not used comes back while the window of the admission is open, nothing
        afterwards. More than held is charged in full, to the window open now.
        """
        unused = hold.amount - actual
        if unused < 0:
            return self.charge(state, -unused, now_ms)
        used, mark = state
        if mark != hold.mark or now_ms >= mark:
            return state
        return max(0, used - unused), mark

    def used(self, state: State, now_ms: int) -> int:
        """The amount used in the window open now."""
        used, mark = state
        return used if now_ms < mark else 0

    def remaining(self, state: State, now_ms: int) -> int:
        """The largest amount that fits now, 0 when a lower quota left less than nothing."""
        return max(0, self.quota - self.used(state, now_ms))

    def free_at_ms(self, state: State, now_ms: int) -> int:
        """`resets_at`: the end of the window open now. Once shown it does not move."""
        mark = state[1]
        return mark if now_ms < mark else self._end_ms(now_ms)

    def _end_ms(self, now_ms: int) -> int:
        return window_bounds(self._period, now_ms // 1000)[1] * 1000


class Concurrency:
    """At most `quota` requests in flight. Its state means nothing after a restart: begin `EMPTY`.

    A hold that is never settled would block for ever; release it after the 15 minutes after
    which other holds stand as used.
    """

    __slots__ = ("capacity", "quota")

    kind = Kind.CONCURRENCY

    def __init__(self, *, quota: int) -> None:
        self.quota = self.capacity = quota

    def wait_ms(self, state: State, amount: int, now_ms: int) -> int:  # noqa: ARG002
        """0 if it fits now, `UNKNOWN` if it fits when others end, or `NEVER`."""
        if not amount or state[0] + amount <= self.quota:
            return 0
        return NEVER if amount > self.quota else UNKNOWN

    def charge(self, state: State, amount: int, now_ms: int) -> State:  # noqa: ARG002
        """The state with `amount` more in flight."""
        return state[0] + amount, 0

    def settle(self, state: State, hold: Hold, *, actual: int, now_ms: int) -> State:  # noqa: ARG002
        """The state after the request ended, whatever it took."""
        return max(0, state[0] - hold.amount), 0

    def used(self, state: State, now_ms: int) -> int:  # noqa: ARG002
        """Requests in flight."""
        return state[0]

    def remaining(self, state: State, now_ms: int) -> int:  # noqa: ARG002
        """How many more may start now."""
        return max(0, self.quota - state[0])

    def free_at_ms(self, state: State, now_ms: int) -> None:
        """Nothing: no clock knows when requests end."""


Gauge: TypeAlias = Bucket | Window | Concurrency


def gauge_of(limit: Limit) -> Gauge:
    """The arithmetic of one limit; make it once per limit and keep it."""
    period = limit.cell.period
    if limit.cell.kind is Kind.CONCURRENCY:
        return Concurrency(quota=limit.quota)
    if period is None:
        raise ValueError(f"{limit.cell.name} has no period")
    if limit.cell.kind is Kind.WINDOW:
        return Window(quota=limit.quota, period=period)
    if limit.burst is None or period == "month":
        raise ValueError(f"{limit.cell.name} is no bucket")
    return Bucket(quota=limit.quota, burst=limit.burst, period_seconds=period)


def window_bounds(period: Period, at: int) -> tuple[int, int]:
    """Start and end (Unix seconds, half open) of the window that holds second `at`.

    Counted from Monday 1970-01-05T00:00:00Z; `month` is the UTC calendar month.
    """
    if period == "month":
        return month_bounds(at)
    if period is None:
        raise ValueError("concurrency has no windows")
    start = at - (at - ANCHOR_SECONDS) % period
    return start, start + period
