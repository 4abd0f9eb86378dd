"""What was admitted and is not settled yet, over counters of our own or shared ones.

One decision is atomic over all limits that apply: either each of them takes its share or none.
Shared counters that are away are stood in for by our own, which follow them as long as they are
there (`plimsoll.sharing`).
"""

import itertools
import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from plimsoll.clock import SteadyTime
from plimsoll.contract.windows import Hold, State
from plimsoll.counters import LocalCounters
from plimsoll.plans import METRIC_ORDER, PlannedLimit
from plimsoll.replica import Replica
from plimsoll.spool import Place
from plimsoll.usage import place_of, refusing_name

if TYPE_CHECKING:
    from plimsoll.sharing import Sharing

# A reservation that is not settled by then stands as used.
UNSETTLED_MS = 15 * 60 * 1000
# Beyond so many at once the oldest do so earlier: who never settles must not fill the memory.
UNSETTLED_MAX = 200_000

NOTHING = (0,) * len(METRIC_ORDER)
IN_FLIGHT = METRIC_ORDER["concurrent_requests"]


class Asked(NamedTuple):
    """Who asks for which model, and for how much; `amounts` by place in `METRIC_ORDER`."""

    key: str
    model: str
    amounts: tuple[int, ...]


class Took(NamedTuple):
    """What a request took; tokens that are None stay as they were admitted or reserved."""

    input_tokens: int | None
    output_tokens: int | None
    spend_microusd: int


UNSAID = Took(None, None, 0)


class Verdict(NamedTuple):
    """How a request was decided, with the states after it and the time that was decided by.

    `decision_id` is empty for a refusal, `waits` for an admission.
    """

    decision_id: str
    states: Sequence[State]
    times: tuple[int, int]
    waits: Sequence[int]


class Reservation(NamedTuple):
    """An admitted request that is not settled yet. `is_shared`: the shared counters hold it."""

    asked: Asked
    at_ms: int
    limits: tuple[PlannedLimit, ...]
    states: Sequence[State]
    is_shared: bool = False

    def holds(self, actual: tuple[int, ...]) -> Iterator[tuple[PlannedLimit, Hold]]:
        """What was taken from each limit that has something to settle if `actual` is what it took.

        Who took what was held leaves a bucket and a window as they are; only what was in flight ends.
        """
        amounts = self.asked.amounts
        for each, (_, mark) in zip(self.limits, self.states, strict=True):
            metric = each.metric
            held = amounts[metric] if each.is_charged else 0
            if held != actual[metric]:
                yield each, Hold(held, mark, each.gauge.quota)


class Ledger:
    """The book of a gateway's counters. Threads may share it; it starts none."""

    def __init__(self, replica: Replica, *, sharing: "Sharing | None" = None) -> None:
        """Nothing is admitted yet."""
        self._replica = replica
        self._steady = SteadyTime(replica.clock)
        self.counters = LocalCounters(replica.store, self._steady)
        self._sharing = sharing
        self.lock = threading.Lock()
        self._open: dict[str, Reservation] = {}
        # By the steady clock: nothing stands unsettled for too long before.
        self._look_at_ms = 0
        self._numbers = itertools.count(1)
        # Not guessable, though made cheaply: whoever settles must have been given the id.
        self._series = f"dec_{secrets.token_hex(12)}_"

    @property
    def unsettled(self) -> int:
        """How many admitted requests are not settled yet."""
        return len(self._open)

    def times(self) -> tuple[int, int]:
        """Unix milliseconds by the portal's clock, and as even as the monotonic clock."""
        moment = self._replica.clock.monotonic()
        return int(self._replica.time.at(moment) * 1000), int(self._steady.at(moment) * 1000)

    # ---- before a request ----

    def decide(
        self, asked: Asked, limits: tuple[PlannedLimit, ...], times: tuple[int, int]
    ) -> Verdict:
        """Let all limits take their share, or none; `times` say what the time is."""
        decision_id = self._series + str(next(self._numbers))
        if self._sharing is not None and self._sharing.is_up and limits:
            with self.lock:
                self._drop_unsettled(times[1])
            verdict = self._sharing.decide(self, asked, limits, decision_id=decision_id)
            if verdict is not None:
                return verdict
            times = self.times()
        place, amounts = place_of(times, asked.key, asked.model), asked.amounts
        with self.lock:
            self._drop_unsettled(times[1])
            waits = [
                each.gauge.wait_ms(each.counter.state, amounts[each.metric], times[each.is_bucket])
                for each in limits
            ]
            if any(waits):
                self.note_refused(limits, waits, place=place)
                return Verdict("", [each.counter.state for each in limits], times, waits)
            states = self._charge(limits, amounts, times)
            reservation = Reservation(asked, times[1], limits, states)
            self.note_admitted(decision_id, reservation, place=place)
        return Verdict(decision_id, states, times, ())

    def read(self, limits: Sequence[PlannedLimit]) -> tuple[list[State], tuple[int, int]]:
        """The states of limits, and the time they are to be read by; nothing is counted."""
        if self._sharing is not None:
            found = self._sharing.read(self, limits)
            if found is not None:
                return found
        times = self.times()
        with self.lock:
            self._drop_unsettled(times[1])
            return [each.counter.state for each in limits], times

    def refuse(self, key_id: str, model: str, name: str) -> None:
        """Count a refusal that no limit has to do with."""
        place = place_of(self.times(), key_id, model)
        with self.lock:
            self.counters.tally.refuse(place, name, is_known=False)

    # ---- after a request ----

    def settle(self, decision_id: str, took: Took, *, failed: bool) -> bool:
        """Say what an admitted request took; answers whether there was something to settle."""
        times = self.times()
        with self.lock:
            self._drop_unsettled(times[1])
            reservation = self._open.pop(decision_id, None)
        if reservation is None:
            if self._sharing is None or decision_id.startswith(self._series):
                return False
            return self._sharing.settle_foreign(self, decision_id, took, failed=failed)
        asked = reservation.asked
        actual = taken(asked.amounts, took, failed=failed)
        sharing = self._sharing
        if sharing is not None and not sharing.settle(
            self, decision_id, reservation, actual=actual
        ):
            # Another gateway was told before us, and reports it.
            return False
        with self.lock:
            if sharing is None:
                self.settle_here(reservation, actual, times)
            self.counters.tally.settle(
                place_of(times, asked.key, asked.model), asked.amounts, actual
            )
        return True

    def save(self) -> None:
        """Write changed counters, and what was counted, to the store."""
        heard_at = self._replica.heard_at()
        age = {} if heard_at is None else {"heard_at": heard_at}
        self.counters.save(self.lock, self.times(), **age)

    # ---- under the lock ----

    def note_admitted(self, decision_id: str, reservation: Reservation, *, place: Place) -> None:
        """Enter an admitted request."""
        asked, dirty = reservation.asked, self.counters.dirty
        for each in reservation.limits:
            dirty[each.counter] = each
        self.counters.tally.admit(place, asked.amounts[1], asked.amounts[2])
        self._open[decision_id] = reservation

    def note_refused(
        self, limits: Sequence[PlannedLimit], waits: Sequence[int], *, place: Place
    ) -> None:
        """Enter a request that a limit refused."""
        dirty = self.counters.dirty
        refusing = [each for each, wait in zip(limits, waits, strict=True) if wait]
        alone = len(refusing) == 1
        name = refusing[0].name if alone else refusing_name([each.name for each in limits], waits)
        self.counters.tally.refuse(place, name, is_known=True)
        for each in refusing:
            # The portal must not show as empty what refuses, whatever was lost in a kill.
            dirty[each.counter] = each

    def settle_here(
        self, reservation: Reservation, actual: tuple[int, ...], times: tuple[int, int]
    ) -> None:
        """Settle what our own counters hold."""
        for each, hold in reservation.holds(actual):
            self.settle_one(each, hold, actual=actual[each.metric], at=times[each.is_bucket])

    def settle_one(self, each: PlannedLimit, hold: Hold, *, actual: int, at: int) -> None:
        """The same for one limit, at its own clock's milliseconds."""
        counter = each.counter
        # By the quota of today: the old one would undo what has changed since the admission.
        counter.state = counter.gauge.settle(counter.state, hold, actual=actual, now_ms=at)
        # A plan made since, perhaps of another tier, says better under what it stands.
        self.counters.dirty.setdefault(counter, each)

    def _charge(
        self, limits: tuple[PlannedLimit, ...], amounts: tuple[int, ...], times: tuple[int, int]
    ) -> list[State]:
        if self._sharing is not None:
            self._sharing.count_alone(limits)
        states = []
        for each in limits:
            counter = each.counter
            amount = amounts[each.metric] if each.is_charged else 0
            counter.state = each.gauge.charge(counter.state, amount, times[each.is_bucket])
            states.append(counter.state)
        return states

    def _drop_unsettled(self, steady_ms: int) -> None:
        # Who is first among those that came and went is found slowly, so it is looked for seldom.
        if steady_ms < self._look_at_ms and len(self._open) <= UNSETTLED_MAX:
            return
        self._look_at_ms = steady_ms + UNSETTLED_MS
        # In order of admission, so only the oldest has to be looked at.
        while self._open:
            oldest = next(iter(self._open))
            reservation = self._open[oldest]
            ends_at_ms = reservation.at_ms + UNSETTLED_MS
            if steady_ms < ends_at_ms and len(self._open) <= UNSETTLED_MAX:
                self._look_at_ms = ends_at_ms
                return
            del self._open[oldest]
            # What was reserved stands as used; a request in flight is no longer believed in.
            took = taken(reservation.asked.amounts, UNSAID, failed=False)
            self.settle_here(reservation, took, (steady_ms, steady_ms))


def taken(held: tuple[int, ...], took: Took, *, failed: bool) -> tuple[int, ...]:
    """What a request took of each metric, by place in `METRIC_ORDER`."""
    if failed:
        return NOTHING
    _, took_in, took_out, total, *_ = held
    if took.input_tokens is not None or took.output_tokens is not None:
        took_in = took_in if took.input_tokens is None else took.input_tokens
        took_out = took_out if took.output_tokens is None else took.output_tokens
        total = took_in + took_out
    return (1, took_in, took_out, total, 0, took.spend_microusd)
