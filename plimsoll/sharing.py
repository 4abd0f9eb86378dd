"""How a gateway's own counters and the shared ones go together.

While the shared counters answer, ours follow them: they are saved, reported, and what is gone on
from when the shared ones are away. What was taken meanwhile is told with the next decision that
concerns it, on top of what others took; a shared counter that was lost begins where it was last
seen. So an outage costs at most what each gateway lets through alone, and no restart forgives it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from plimsoll.contract.windows import Hold, State
from plimsoll.counters import Counter
from plimsoll.counters_redis import Answer, Call, SharedCounters, key_of, record_key, shape_of
from plimsoll.ledger import IN_FLIGHT, Asked, Ledger, Reservation, Took, Verdict, taken
from plimsoll.plans import PlannedLimit
from plimsoll.usage import place_of

_DECISION_ID = re.compile(r"dec_[0-9a-f]{24}_[0-9]{1,20}\.(org_[0-9a-z]{1,40})")
_ROUTES_MAX = 10_000
# Answers overtake each other by less than this; a clock that is further behind is another one.
_OVERTAKEN_US = 1_000_000


class _Route(NamedTuple):
    """What the script is told of a plan's limits; `limits` keeps the plan's identity alive."""

    limits: Sequence[PlannedLimit]
    org: str
    keys: list[bytes]
    shapes: bytes

    @classmethod
    def to(cls, limits: Sequence[PlannedLimit]) -> "_Route":
        shapes = [shape_of(each.limit, each.metric, is_charged=each.is_charged) for each in limits]
        org = limits[0].counter.owner.partition(":")[0]
        return cls(limits, org, [_key(each) for each in limits], b"".join(shapes))


class _Note(NamedTuple):
    """What a gateway must know to settle what another one admitted."""

    key: str
    model: str
    amounts: tuple[int, ...]
    keys: list[str]
    shapes: str


class Sharing:
    """Counts with other gateways through one server, for one ledger."""

    def __init__(self, shared: SharedCounters) -> None:
        """`shared` is started and closed by whoever made it."""
        self.shared = shared
        # The server's clock minus our steady one, in milliseconds.
        self._ahead_ms = 0
        self._routes: dict[int, _Route] = {}

    @property
    def is_up(self) -> bool:
        """Whether the shared counters answer."""
        return self.shared.is_up

    # ---- before a request ----

    def decide(
        self, ledger: Ledger, asked: Asked, limits: tuple[PlannedLimit, ...], *, decision_id: str
    ) -> Verdict | None:
        """The verdict of the shared counters; None if they are away."""
        route = self._route(limits)
        decision_id = f"{decision_id}.{route.org}"
        note = _Note(*asked, keys=[key.decode() for key in route.keys], shapes=route.shapes.hex())
        call, untold = self._call(ledger, route, asked.amounts)
        answer = self.shared.decide(
            call,
            record=record_key(decision_id, route.org),
            member=decision_id.encode(),
            note=orjson.dumps(list(note)),
        )
        times = ledger.times()
        place = place_of(times, asked.key, asked.model)
        with ledger.lock:
            if answer is None:
                _take_back(untold)
                return None
            states = self._follow(limits, answer, times)
            now_ms = answer.now_us // 1000
            if not answer.is_done:
                ledger.note_refused(limits, answer.waits, place=place)
                return Verdict("", answer.states, (now_ms, now_ms), answer.waits)
            for each in limits:
                if each.metric == IN_FLIGHT:
                    each.counter.state = each.gauge.charge(each.counter.state, 1, now_ms)
            reservation = Reservation(asked, times[1], limits, states, is_shared=True)
            ledger.note_admitted(decision_id, reservation, place=place)
        return Verdict(decision_id, answer.states, (now_ms, now_ms), ())

    def read(
        self, ledger: Ledger, limits: Sequence[PlannedLimit]
    ) -> tuple[list[State], tuple[int, int]] | None:
        """The shared states and the server's time; None if they are away."""
        if not limits or not self.is_up:
            return None
        call, untold = self._call(ledger, _Route.to(limits), ())
        answer = self.shared.read(call)
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
    ) -> None:
        """Settle an admission, there or here, or here now and there when they are back."""
        if reservation.is_shared:
            self._settle_shared(ledger, decision_id, reservation, actual=actual)
        else:
            self._settle_own(ledger, decision_id, reservation, actual=actual)

    def settle_foreign(self, ledger: Ledger, decision_id: str, took: Took, *, failed: bool) -> bool:
        """Settle what another gateway admitted, or this one before it was started again."""
        found = _DECISION_ID.fullmatch(decision_id)
        if found is None:
            return False
        record = record_key(decision_id, found[1])
        text = self.shared.note_of(record)
        if text is None:
            return False
        note = _Note(*orjson.loads(text))
        actual = taken(tuple(note.amounts), took, failed=failed)
        keys = [key.encode() for key in note.keys]
        call = Call(keys, bytes.fromhex(note.shapes), actual)
        answer = self.shared.settle(call, record=record, member=decision_id.encode())
        if answer is not None and not answer.is_done:
            return False
        place = place_of(ledger.times(), note.key, note.model)
        with ledger.lock:
            ledger.counters.tally.settle(place, tuple(note.amounts), actual)
        return True

    def count_alone(self, each: PlannedLimit) -> None:
        """Remember where a counter stood before we changed it alone. Under the ledger's lock."""
        counter = each.counter
        if each.metric == IN_FLIGHT:
            counter.seen = None
        elif counter.before is None:
            counter.before = counter.state

    # ---- inside ----

    def _settle_shared(
        self, ledger: Ledger, decision_id: str, reservation: Reservation, *, actual: tuple[int, ...]
    ) -> None:
        route = self._route(reservation.limits)
        answer = self.shared.settle(
            Call(route.keys, route.shapes, actual),
            record=record_key(decision_id, route.org),
            member=decision_id.encode(),
        )
        times = ledger.times()
        with ledger.lock:
            if answer is not None and answer.is_done:
                self._follow(reservation.limits, answer, times)
            for each, hold in reservation.holds():
                if answer is None or each.metric == IN_FLIGHT:
                    at = times[each.is_bucket]
                    _settle_both(each, hold, actual=actual[each.metric], at=at)
                ledger.counters.dirty.setdefault(each.counter, each)

    def _settle_own(
        self, ledger: Ledger, decision_id: str, reservation: Reservation, *, actual: tuple[int, ...]
    ) -> None:
        times = ledger.times()
        told = []
        with ledger.lock:
            for each, hold in reservation.holds():
                # What was told since stands there; what was not, only here.
                is_told = each.counter.before is None and each.metric != IN_FLIGHT
                if is_told and self.is_up:
                    told.append((each, hold))
                else:
                    self._settle_here(ledger, each, hold, actual=actual, times=times)
        if not told:
            return
        route = _Route.to([each for each, _ in told])
        marks = [hold.mark + self._ahead_ms * each.is_bucket for each, hold in told]
        answer = self.shared.settle(
            Call(route.keys, route.shapes, actual),
            record=record_key(decision_id, route.org),
            member=decision_id.encode(),
            held=(*marks, *reservation.asked.amounts),
        )
        with ledger.lock:
            if answer is not None:
                self._follow(route.limits, answer, ledger.times())
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
        self.count_alone(each)
        ledger.settle_one(each, hold, actual=actual[each.metric], at=times[each.is_bucket])

    def _route(self, limits: tuple[PlannedLimit, ...]) -> _Route:
        route = self._routes.get(id(limits))
        if route is None:
            if len(self._routes) >= _ROUTES_MAX:
                self._routes = {}
            route = self._routes[id(limits)] = _Route.to(limits)
        return route

    def _call(
        self, ledger: Ledger, route: _Route, amounts: tuple[int, ...]
    ) -> tuple[Call, list[tuple[Counter, State]]]:
        """What to ask, and what it tells that was not told before."""
        times = ledger.times()
        states: list[int] = []
        own: list[int] = []
        untold: list[tuple[Counter, State]] = []
        with ledger.lock:
            for each in route.limits:
                counter = each.counter
                states += counter.seen or counter.before or counter.state
                if counter.before is None:
                    own += (0, 0)
                    continue
                own += _taken_alone(each, counter.before, at=times[each.is_bucket])
                untold.append((counter, counter.before))
                counter.before = None
        return Call(route.keys, route.shapes, amounts, states, own if untold else ()), untold

    def _follow(
        self, limits: Sequence[PlannedLimit], answer: Answer, times: tuple[int, int]
    ) -> list[State]:
        """Let our counters follow; answers the states by our own clocks."""
        now_ms = answer.now_us // 1000
        ahead = self._ahead_ms = now_ms - times[1]
        ours: list[State] = []
        for each, state in zip(limits, answer.states, strict=True):
            counter = each.counter
            local = (state[0], state[1] - ahead) if each.is_bucket else state
            ours.append(local)
            if 0 < counter.seen_us - answer.now_us < _OVERTAKEN_US:
                continue
            counter.seen, counter.seen_us = state, answer.now_us
            if counter.before is None and each.metric != IN_FLIGHT:
                counter.state = local
        return ours


def _taken_alone(each: PlannedLimit, before: State, *, at: int) -> State:
    used, mark = each.gauge.charge(each.counter.state, 0, at)
    return max(0, used - each.gauge.charge(before, 0, at)[0]), mark


def _take_back(untold: list[tuple[Counter, State]]) -> None:
    for counter, before in untold:
        counter.before = before


def _settle_both(each: PlannedLimit, hold: Hold, *, actual: int, at: int) -> None:
    # The shared counters will settle it too, so it is no difference that has to be told.
    counter = each.counter
    counter.state = each.gauge.settle(counter.state, hold, actual=actual, now_ms=at)
    if counter.before is not None:
        counter.before = each.gauge.settle(counter.before, hold, actual=actual, now_ms=at)


def _key(each: PlannedLimit) -> bytes:
    cell = each.limit.cell
    period = "now" if cell.period is None else cell.period
    return key_of(each.counter.owner, f"{cell.model}:{cell.metric}:{cell.kind}:{period}")
