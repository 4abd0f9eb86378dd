"""How a gateway's own counters and the shared ones go together.

While the shared counters answer, ours follow them: they are saved, reported, and what is gone on
from when the shared ones are away. What was taken meanwhile is told with the next decision that
concerns it, on top of what others took, also by a gateway that was started again meanwhile (if it
was killed right after it had told, once more); a shared counter that was lost begins where it was
last seen. So an outage costs at most what each gateway lets through alone, and no restart forgives it,
but for what others took since the first gateway to come back had last looked.
"""

import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from plimsoll.contract.windows import Hold, State
from plimsoll.counters import Counter
from plimsoll.counters_redis import SharedCounters
from plimsoll.counters_script import (
    Answer,
    Route,
    counter_name,
    key_of,
    record_key,
    shape_of,
    shapes_now,
)
from plimsoll.ledger import IN_FLIGHT, Asked, Ledger, Reservation, Took, Verdict, taken
from plimsoll.plans import PlannedLimit
from plimsoll.usage import place_of

_DECISION_ID = re.compile(r"dec_[0-9a-f]{24}_[0-9]{1,20}\.(org_[0-9a-z]{1,40})")
_PLANS_MAX = 10_000
# Answers overtake each other by less than this; a clock that is further behind is another one.
_OVERTAKEN_US = 1_000_000


class _Plan(NamedTuple):
    """What the script is told of some limits, and what a note says of them."""

    limits: Sequence[PlannedLimit]
    org: str
    route: Route
    note: bytes

    @classmethod
    def of(cls, limits: Sequence[PlannedLimit]) -> "_Plan":
        shapes = [shape_of(each.limit, each.metric, is_charged=each.is_charged) for each in limits]
        org = limits[0].counter.owner.partition(":")[0]
        route = Route([_key(each) for each in limits], b"".join(shapes))
        note = orjson.dumps([[key.decode() for key in route.keys], route.shapes.hex()])
        return cls(limits, org, route, note)


class Sharing:
    """Counts with other gateways through one server, for one ledger."""

    def __init__(self, shared: SharedCounters) -> None:
        """`shared` is started and closed by whoever made it."""
        self.shared = shared
        # The server's clock minus our steady one, in milliseconds.
        self._ahead_ms = 0
        self._plans: dict[int, _Plan] = {}

    @property
    def is_up(self) -> bool:
        """Whether the shared counters answer."""
        return self.shared.is_up

    # ---- before a request ----

    def decide(
        self, ledger: Ledger, asked: Asked, limits: tuple[PlannedLimit, ...], *, decision_id: str
    ) -> Verdict | None:
        """The verdict of the shared counters; None if they are away."""
        plan = self._plan(limits)
        decision_id = f"{decision_id}.{plan.org}"
        seen, own, untold = self._call(ledger, limits)
        answer = self.shared.decide(
            plan.route,
            record_key(decision_id, plan.org),
            amounts=asked.amounts,
            states=plan.route.pack(seen),
            own=plan.route.pack(own) if own else b"",
            note=b"%b\n%b\n" % (orjson.dumps(asked[:2]), plan.note),
        )
        times = ledger.times()
        place = place_of(times, asked.key, asked.model)
        with ledger.lock:
            if answer is None:
                _take_back(untold)
                return None
            states = self._follow(limits, answer, times, admitted=int(answer.is_done))
            now_ms = answer.now_us // 1000
            if not answer.is_done:
                ledger.note_refused(limits, answer.waits, place=place)
                return Verdict("", answer.states, (now_ms, now_ms), answer.waits)
            reservation = Reservation(asked, times[1], limits, states, is_shared=True)
            ledger.note_admitted(decision_id, reservation, place=place)
        return Verdict(decision_id, answer.states, (now_ms, now_ms), ())

    def read(
        self, ledger: Ledger, limits: Sequence[PlannedLimit]
    ) -> tuple[list[State], tuple[int, int]] | None:
        """The shared states and the server's time; None if they are away."""
        if not limits or not self.is_up:
            return None
        route = _Plan.of(limits).route
        seen, own, untold = self._call(ledger, limits)
        answer = self.shared.read(
            route, states=route.pack(seen), own=route.pack(own) if own else b""
        )
        with ledger.lock:
            if answer is None:
                _take_back(untold)
                return None
            self._follow(limits, answer, ledger.times())
        now_ms = answer.now_us // 1000
        return answer.states, (now_ms, now_ms)

    # ---- after a request ----

    def settle(
        self, ledger: Ledger, decision_id: str, reservation: Reservation, *, actual: tuple[int, ...]
    ) -> bool:
        """Settle an admission, there or here, or here now and there when they are back.

        Answers whether there was something to settle, which is not so once another gateway did.
        """
        if reservation.is_shared:
            return self._settle_shared(ledger, decision_id, reservation, actual=actual)
        self._settle_own(ledger, decision_id, reservation, actual=actual)
        return True

    def settle_foreign(self, ledger: Ledger, decision_id: str, took: Took, *, failed: bool) -> bool:
        """Settle what another gateway admitted, or this one before it was started again."""
        named = _DECISION_ID.fullmatch(decision_id)
        if named is None:
            return False
        record = record_key(decision_id, named[1])
        found = self.shared.record(record)
        if found is None:
            return False
        asked, keys, shapes = _read_record(found)
        actual = taken(asked.amounts, took, failed=failed)
        known = [ledger.counters.known(counter_name(key)) for key in keys]
        shapes = shapes_now(shapes, [None if each is None else each.limit for each in known])
        answer = self.shared.settle(Route(keys, shapes), record, took=actual)
        if answer is not None and not answer.is_done:
            return False
        place = place_of(ledger.times(), asked.key, asked.model)
        with ledger.lock:
            ledger.counters.tally.settle(place, asked.amounts, actual)
        return True

    def count_alone(self, limits: Sequence[PlannedLimit]) -> None:
        """Remember where counters stood before we changed them alone. Under the ledger's lock."""
        for each in limits:
            counter = each.counter
            if each.metric == IN_FLIGHT:
                counter.seen = None
            elif counter.before is None:
                counter.before = counter.state

    # ---- inside ----

    def _settle_shared(
        self, ledger: Ledger, decision_id: str, reservation: Reservation, *, actual: tuple[int, ...]
    ) -> bool:
        plan = self._plan(reservation.limits)
        record = record_key(decision_id, plan.org)
        answer = self.shared.settle(_route_now(plan), record, took=actual)
        times = ledger.times()
        with ledger.lock:
            for each, hold in reservation.holds(actual):
                if answer is None or each.metric == IN_FLIGHT:
                    at = times[each.is_bucket]
                    _settle_both(each, hold, actual=actual[each.metric], at=at)
            # Afterwards, since what the answer says of requests in flight is without this one.
            if answer is not None and answer.is_done:
                self._follow(reservation.limits, answer, times)
            for each in reservation.limits:
                ledger.counters.dirty.setdefault(each.counter, each)
        return answer is None or answer.is_done

    def _settle_own(
        self, ledger: Ledger, decision_id: str, reservation: Reservation, *, actual: tuple[int, ...]
    ) -> None:
        times = ledger.times()
        told = []
        with ledger.lock:
            for each, hold in reservation.holds(actual):
                # What was told since stands there; what was not, only here.
                is_told = each.counter.before is None and each.metric != IN_FLIGHT
                if is_told and self.is_up:
                    told.append((each, hold))
                else:
                    self._settle_here(ledger, each, hold, actual=actual, times=times)
        if not told:
            return
        plan = _Plan.of([each for each, _ in told])
        quotas = [hold.quota for _, hold in told]
        marks = [hold.mark + self._ahead_ms * each.is_bucket for each, hold in told]
        answer = self.shared.settle(
            _route_now(plan),
            record_key(decision_id, plan.org),
            took=actual,
            held=(*quotas, *marks, *reservation.asked.amounts),
        )
        with ledger.lock:
            if answer is not None:
                self._follow(plan.limits, answer, ledger.times())
                return
            for each, hold in told:
                self._settle_here(ledger, each, hold, actual=actual, times=times)

    def _settle_here(
        self,
        ledger: Ledger,
        each: PlannedLimit,
        hold: Hold,
        *,
        actual: tuple[int, ...],
        times: tuple[int, int],
    ) -> None:
        self.count_alone((each,))
        ledger.settle_one(each, hold, actual=actual[each.metric], at=times[each.is_bucket])

    def _plan(self, limits: tuple[PlannedLimit, ...]) -> _Plan:
        plan = self._plans.get(id(limits))
        if plan is None:
            if len(self._plans) >= _PLANS_MAX:
                self._plans = {}
            plan = self._plans[id(limits)] = _Plan.of(limits)
        return plan

    def _call(
        self, ledger: Ledger, limits: Sequence[PlannedLimit]
    ) -> tuple[list[int], list[int], list[tuple[Counter, State]]]:
        """What was last seen, what was taken alone since, and how to take that back."""
        states: list[int] = []
        untold: list[tuple[Counter, State]] = []
        with ledger.lock:
            for each in limits:
                counter = each.counter
                states += counter.seen or counter.before or counter.state
                if counter.before is not None:
                    untold.append((counter, counter.before))
                    # That it is told has to be saved too, also when it is only read.
                    ledger.counters.dirty.setdefault(counter, each)
            own = self._taken_alone(limits, ledger.times()) if untold else []
            for counter, _ in untold:
                counter.before = None
        return states, own, untold

    def _taken_alone(self, limits: Sequence[PlannedLimit], times: tuple[int, int]) -> list[int]:
        own: list[int] = []
        for each in limits:
            counter, at = each.counter, times[each.is_bucket]
            before = counter.state if counter.before is None else counter.before
            used, mark = each.gauge.charge(counter.state, 0, at)
            own += (max(0, used - each.gauge.charge(before, 0, at)[0]), mark)
        return own

    def _follow(
        self,
        limits: Sequence[PlannedLimit],
        answer: Answer,
        times: tuple[int, int],
        *,
        admitted: int = 0,
    ) -> list[State]:
        """Let our counters follow, `admitted` in flight anew; answers the states by our own clocks."""
        now_ms = answer.now_us // 1000
        ahead = self._ahead_ms = now_ms - times[1]
        ours: list[State] = []
        for each, state in zip(limits, answer.states, strict=True):
            counter = each.counter
            local = (state[0], state[1] - ahead) if each.is_bucket else state
            ours.append(local)
            is_late = 0 < counter.seen_us - answer.now_us < _OVERTAKEN_US
            if not is_late:
                counter.seen, counter.seen_us = state, answer.now_us
            if each.metric == IN_FLIGHT:
                # No more of ours than there are of all: others settle what we admitted.
                ours_before = counter.state[0]
                known = ours_before if is_late else min(ours_before, state[0] - admitted)
                counter.state = (known + admitted, 0)
            elif counter.before is None and not is_late:
                counter.state = local
        return ours


def _route_now(plan: _Plan) -> Route:
    # As admitted, but by the quotas of today.
    now = [each.counter.limit for each in plan.limits]
    if all(each.limit == limit for each, limit in zip(plan.limits, now, strict=True)):
        return plan.route
    return Route(plan.route.keys, shapes_now(plan.route.shapes, now))


def _read_record(found: bytes) -> tuple[Asked, list[bytes], bytes]:
    """Who asked for what, and the keys and shapes of the limits, as a record says."""
    who, what, held = found.split(b"\n", 2)
    key, model = orjson.loads(who)
    keys, shapes = orjson.loads(what)
    amounts = struct.unpack(">6q", held[-48:])
    return Asked(key, model, amounts), [each.encode() for each in keys], bytes.fromhex(shapes)


def _take_back(untold: list[tuple[Counter, State]]) -> None:
    for counter, before in untold:
        counter.before = before


def _settle_both(each: PlannedLimit, hold: Hold, *, actual: int, at: int) -> None:
    # The shared counters will settle it too, so it is no difference that has to be told.
    counter = each.counter
    counter.state = counter.gauge.settle(counter.state, hold, actual=actual, now_ms=at)
    if counter.before is not None:
        counter.before = counter.gauge.settle(counter.before, hold, actual=actual, now_ms=at)


def _key(each: PlannedLimit) -> bytes:
    cell = each.limit.cell
    period = "now" if cell.period is None else cell.period
    return key_of(each.counter.owner, f"{cell.model}:{cell.metric}:{cell.kind}:{period}")
