"""Two ledgers that are told the same: one counts by itself, one in a Valkey under the same clock."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from plimsoll import counters_script
from plimsoll.contract.limits import METRICS, Cell, Counted, Kind, Limit, Period
from plimsoll.contract.windows import State, gauge_of
from plimsoll.counters_redis import SharedCounters
from plimsoll.ledger import Asked, Ledger, Took, Verdict
from plimsoll.plans import METRIC_ORDER, PlannedLimit
from plimsoll.replica import Replica
from plimsoll.sharing import Sharing
from plimsoll.store import Store
from tests.support.valkey import Valkey

# Metric, kind, period, quota, burst: one of each kind, and what goes together on a real tier.
CELLS: list[tuple[str, Kind, Period, int, int | None]] = [
    ("requests", Kind.BUCKET, 60, 40, 60),
    ("output_tokens", Kind.BUCKET, 7, 1000, 300),
    ("input_tokens", Kind.WINDOW, 3600, 5000, None),
    ("total_tokens", Kind.WINDOW, "month", 90_000, None),
    ("spend_microusd", Kind.WINDOW, 604_800, 4000, None),
    ("concurrent_requests", Kind.CONCURRENCY, None, 6, None),
]
_orgs = itertools.count(1)


class TwinClock:
    """A clock of whole milliseconds that the script in the Valkey reads too."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self.move_to(1_795_400_000_000)

    def move_to(self, at_ms: int) -> None:
        """Any instant, also an earlier one."""
        self._start_ms = self.at_ms = at_ms
        self._tell()

    def advance_ms(self, milliseconds: int) -> None:
        self.at_ms += milliseconds
        self._tell()

    # Half a millisecond more, so that no rounding of seconds makes it one less.
    def now(self) -> float:
        return (self.at_ms + 0.5) / 1000

    def monotonic(self) -> float:
        return (self.at_ms - self._start_ms) / 1000

    def _tell(self) -> None:
        seconds, rest = divmod(self.at_ms, 1000)
        self._valkey.client.mset({"now:s": seconds, "now:us": rest * 1000})


class Twins:
    """The two, and what was asked of both."""

    def __init__(self, clock: TwinClock, replica: Replica, shared: SharedCounters) -> None:
        self.clock = clock
        self.ledgers = (Ledger(replica), Ledger(replica, sharing=Sharing(shared)))
        self.values = [(quota, burst) for *_, quota, burst in CELLS]
        self._org = f"org_{next(_orgs):026d}"
        self._plans = self._planned()
        self._admitted: list[tuple[str, str]] = []
        self.last_wait = 0

    def set_quota(self, place: int, quota: int, burst: int) -> None:
        has_burst = CELLS[place][1] is Kind.BUCKET
        self.values[place] = (quota, (burst if quota else 0) if has_burst else None)
        self._plans = self._planned()

    def ask(
        self, amounts: Sequence[int], limits: Sequence[int] = range(len(CELLS))
    ) -> list[Verdict]:
        """What both say to one request that meets some of the limits."""
        asked = Asked("key_1", "m", (1, *amounts, sum(amounts), 1, 1))
        said = [
            ledger.decide(asked, tuple(plan[place] for place in limits), ledger.times())
            for ledger, plan in zip(self.ledgers, self._plans, strict=True)
        ]
        first, second = said
        if first.decision_id and second.decision_id:
            self._admitted.append((first.decision_id, second.decision_id))
        self.last_wait = max([0, *first.waits])
        return [
            verdict._replace(states=self._at_now([plan[place] for place in limits], verdict))
            for verdict, plan in zip(said, self._plans, strict=True)
        ]

    def settle(self, number: int, took: Took, *, failed: bool) -> list[bool]:
        """What both say to the settlement of one of those admitted, perhaps again."""
        if not self._admitted:
            return []
        ids = self._admitted[number % len(self._admitted)]
        return [
            ledger.settle(name, took, failed=failed)
            for ledger, name in zip(self.ledgers, ids, strict=True)
        ]

    def read(self) -> list[list[int]]:
        """How much both say is used of each limit."""
        used = []
        for ledger, plan in zip(self.ledgers, self._plans, strict=True):
            states, times = ledger.read(plan)
            used.append(
                [
                    each.gauge.used(state, times[each.is_bucket])
                    for each, state in zip(plan, states, strict=True)
                ]
            )
        return used

    def _at_now(self, limits: Sequence[PlannedLimit], verdict: Verdict) -> list[State]:
        # An empty counter may be written in several ways.
        return [
            each.gauge.charge(state, 0, verdict.times[each.is_bucket])
            for each, state in zip(limits, verdict.states, strict=True)
        ]

    def _planned(self) -> list[tuple[PlannedLimit, ...]]:
        return [
            tuple(
                self._limit(ledger, Cell("build", "m", metric, kind, period), *values)
                for (metric, kind, period, *_), values in zip(CELLS, self.values, strict=True)
            )
            for ledger in self.ledgers
        ]

    def _limit(self, ledger: Ledger, cell: Cell, quota: int, burst: int | None) -> PlannedLimit:
        limit = Limit(cell, quota, burst)
        return PlannedLimit(
            name=cell.name,
            limit=limit,
            gauge=gauge_of(limit),
            counter=ledger.counters.get(self._org, limit),
            metric=METRIC_ORDER[cell.metric],
            is_bucket=cell.kind is Kind.BUCKET,
            is_charged=METRICS[cell.metric].counted is not Counted.SETTLED,
            change=None,
        )


@contextmanager
def twin_world(valkey: Valkey, folder: Path) -> Iterator[tuple[TwinClock, Callable[[], Twins]]]:
    """A clock, and how to make two fresh ledgers under it."""
    by_key = counters_script.SCRIPT.replace(
        b"redis.call('TIME')", b"redis.call('MGET', 'now:s', 'now:us')"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counters_script, "SCRIPT", by_key)
        patch.setattr(counters_script, "SHA", counters_script.sha_of(by_key))
        store, clock = Store(folder), TwinClock(valkey)
        shared = SharedCounters(valkey.url, timeout_seconds=20)
        shared.start()
        try:
            yield clock, lambda: Twins(clock, Replica(store, clock=clock), shared)
        finally:
            shared.close()
            store.close()
