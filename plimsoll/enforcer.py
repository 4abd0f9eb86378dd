"""Decides about requests: `check` before, `settle` after (LIMITS.md section 1, EXACT.md 19 to 26).

One decision is atomic over all limits that apply: either each of them takes its share or none.
"""

import hashlib
import itertools
import secrets
import threading
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from plimsoll.clock import SteadyTime
from plimsoll.contract import tokens
from plimsoll.contract.limits import EXACT_BOUND
from plimsoll.contract.windows import NEVER, Hold, State
from plimsoll.counters import LocalCounters
from plimsoll.decision import Code, Decision, Readings
from plimsoll.plans import METRIC_ORDER, Plan, PlannedLimit, Planner
from plimsoll.replica import Key, Org, Replica
from plimsoll.spool import Place
from plimsoll.usage import place_of, refusing_name

KEY_PREFIXES = ("plim_live_", "plim_test_")
# A reservation that is not settled by then stands as used.
UNSETTLED_MS = 15 * 60 * 1000
# Beyond so many at once the oldest do so earlier: who never settles must not fill the memory.
UNSETTLED_MAX = 200_000

# What an observing gateway refuses all the same: nobody could tell whose request it is, or the
# provider has said no to this very caller.
_REFUSED_ALWAYS = frozenset(
    {
        Code.KEY_MISSING,
        Code.KEY_MALFORMED,
        Code.KEY_UNKNOWN,
        Code.KEY_REVOKED,
        Code.ORG_SUSPENDED,
        Code.NOT_READY,
    }
)
_SPEND = METRIC_ORDER["spend_microusd"]
_IN_FLIGHT = METRIC_ORDER["concurrent_requests"]


class _Reservation(NamedTuple):
    """An admitted request that is not settled yet; `amounts` by place in `METRIC_ORDER`."""

    key: str
    model: str
    at_ms: int
    limits: tuple[PlannedLimit, ...]
    states: list[State]
    amounts: tuple[int, ...]

    def holds(self) -> Iterator[tuple[PlannedLimit, Hold]]:
        """What was taken from each limit."""
        for each, state in zip(self.limits, self.states, strict=True):
            yield each, Hold(_charged(each, self.amounts), state[1], each.gauge.quota)


class Enforcer:
    """The gate over a replica. Threads may share it; it starts none."""

    def __init__(
        self,
        replica: Replica,
        *,
        portal_url: str = "",
        observe: bool = False,
        max_stale_seconds: float | None = None,
        key_prefixes: Sequence[str] = KEY_PREFIXES,
    ) -> None:
        """`observe` lets pass what it would refuse; `max_stale_seconds` refuses on old state."""
        self.replica = replica
        self.is_observing = observe
        self.max_stale_seconds = max_stale_seconds
        self.tally: Tally[Code] = Tally()
        self._key_prefixes = tuple(key_prefixes)
        self._steady = SteadyTime(replica.clock)
        self._counters = LocalCounters(replica.store, self._steady)
        self._planner = Planner(replica, self._counters, portal_url=portal_url)
        self._lock = threading.Lock()
        self._open: dict[str, _Reservation] = {}
        self._numbers = itertools.count(1)
        # Not guessable, though made cheaply: whoever settles must have been given the id.
        self._series = f"dec_{secrets.token_hex(12)}_"

    # ---- before a request ----

    def check(
        self,
        secret: str | None,
        *,
        model: str | None = None,
        input_tokens: int = 0,
        max_tokens: int | None = None,
        client_ip: str | None = None,
    ) -> Decision:
        """Whether a request with this key may pass; if so it is counted.

        `model` is the exact slug, None for a request without one. Output tokens are reserved:
        `max_tokens`, else the tier's published reserve. Settle what was admitted.

        Raises:
            ValueError: an amount is negative or 2**53 or more.
        """
        if not 0 <= input_tokens < EXACT_BOUND or not 0 <= (max_tokens or 0) < EXACT_BOUND:
            raise ValueError("amounts are from 0 to below 2**53")
        now = self.replica.time.now()
        key = self._key(secret)
        if isinstance(key, Code):
            return self._refuse(key)
        plan = self._plan(key, model, client_ip=client_ip, now=now)
        if isinstance(plan, Code):
            return self._refuse(plan, key, model=model)
        output = plan.reserve_output if max_tokens is None else max_tokens
        total = input_tokens + output
        if max_tokens is None and plan.reserve_total is not None:
            total = max(input_tokens, plan.reserve_total)
        # By place in METRIC_ORDER: requests, input, output, total, in flight, spend.
        amounts = (1, input_tokens, output, total, 1, 1)
        return self._decide(key, plan, amounts, model=model or "", now=now)

    def refusal(self, secret: str | None, *, client_ip: str | None = None) -> Decision | None:
        """The refusal that needs no look at the request: of the key, organisation or network.

        For gates that have to read a body before they can `check`: it need not be read for a
        caller who is nobody. None says nothing yet, and a refusal is counted here.
        """
        now = self.replica.time.now()
        key = self._key(secret)
        if isinstance(key, Code):
            return self._refuse(key)
        org = self._admit_key(key, client_ip, now)
        # What an observing gateway lets pass is counted by the check that follows.
        if not isinstance(org, Code) or self._lets_pass(org):
            return None
        return self._refuse(org, key)

    def limits(self, secret: str | None, *, client_ip: str | None = None) -> Decision:
        """All limits of the key's organisation and of the key, read without counting anything."""
        now = self.replica.time.now()
        key = self._key(secret)
        if isinstance(key, Code):
            return self._refuse(key)
        org = self._admit_key(key, client_ip, now)
        if isinstance(org, Code):
            return self._refuse(org, key, is_call=False)
        plans = self._planner.all_plans(key, org, now=now)
        if isinstance(plans, Code):
            return self._refuse(plans, key, is_call=False)
        # A shared limit is part of every model's plan.
        limits = tuple({limit.name: limit for plan in plans for limit in plan.limits}.values())
        times = self._times(now)
        with self._lock:
            states = [limit.counter.state for limit in limits]
        return _about(Code.ALLOWED, key, readings=Readings(limits, states, times))

    # ---- after a request ----

    def settle(
        self,
        decision_id: str,
        *,
        output_tokens: int | None = None,
        input_tokens: int | None = None,
        spend_microusd: int | None = None,
        failed: bool = False,
    ) -> bool:
        """Say what an admitted request took; a second call changes nothing.

        Tokens that are None stay as they were admitted or reserved; `failed` (the provider's
        5xx) gives everything back. Answers whether there was something to settle.

        Raises:
            ValueError: an amount is negative or 2**53 or more.
        """
        amounts = (output_tokens or 0, input_tokens or 0, spend_microusd or 0)
        if not all(0 <= amount < EXACT_BOUND for amount in amounts):
            raise ValueError("amounts are from 0 to below 2**53")
        times = self._times(self.replica.time.now())
        with self._lock:
            reservation = self._open.pop(decision_id, None)
            if reservation is None:
                return False
            _, took_in, took_out, total, *_ = reservation.amounts
            if input_tokens is not None or output_tokens is not None:
                took_in = took_in if input_tokens is None else input_tokens
                took_out = took_out if output_tokens is None else output_tokens
                total = took_in + took_out
            actual = (1, took_in, took_out, total, 0, spend_microusd or 0)
            self._settle(reservation, _NOTHING if failed else actual, times)
        return True

    @property
    def unsettled(self) -> int:
        """How many admitted requests are not settled yet."""
        return len(self._open)

    def save(self) -> None:
        """Write changed counters, and what was counted, to the store; call it each second and at the end."""
        heard_at = self.replica.heard_at()
        age = {} if heard_at is None else {"heard_at": heard_at}
        self._counters.save(self._lock, self._times(self.replica.time.now()), **age)

    # ---- whose request it is ----

    def _key(self, secret: str | None) -> Key | Code:
        if not self.replica.is_ready or self.is_stale():
            return Code.NOT_READY
        if not secret:
            return Code.KEY_MISSING
        key = self.replica.key(hashlib.sha256(secret.encode(errors="replace")).digest())
        if key is not None:
            return key
        # Only what is not known has to prove its shape: a known key's digest already did.
        if not any(tokens.looks_like(secret, prefix) for prefix in self._key_prefixes):
            return Code.KEY_MALFORMED
        return Code.KEY_UNKNOWN

    def is_stale(self) -> bool:
        """Whether the state is older than `max_stale_seconds` allows."""
        if self.max_stale_seconds is None:
            return False
        age = self.replica.age_seconds()
        return age is None or age > self.max_stale_seconds

    def _plan(
        self, key: Key, model: str | None, *, client_ip: str | None, now: float
    ) -> Plan | Code:
        org = self._admit_key(key, client_ip, now)
        if isinstance(org, Code):
            return org
        # A key that is bound to models never passes without naming one of them.
        if key.models is not None and model not in key.models:
            return Code.MODEL_NOT_ALLOWED
        return self._planner.plan(key, org, model, now=now)

    def _admit_key(self, key: Key, client_ip: str | None, now: float) -> Org | Code:
        """The organisation, or the first refusal in the order of EXACT.md 24."""
        refusal = self._refused_key(key, now)
        if refusal is not None or key.record is None:
            return refusal or Code.KEY_REVOKED
        org = self.replica.org(key.record.org)
        if org is None:
            return Code.NOT_READY
        if org.record.state == "suspended":
            return Code.ORG_SUSPENDED
        if not key.allows_address(client_ip):
            return Code.NETWORK_NOT_ALLOWED
        return org

    def _refused_key(self, key: Key, now: float) -> Code | None:
        record = key.record
        if key.is_revoked or record is None:
            return Code.KEY_REVOKED
        # The later of both clocks: a portal set back cannot lengthen a key's life.
        if record.expires_at is not None and record.expires_at <= max(
            now, self.replica.clock.now()
        ):
            return Code.KEY_EXPIRED
        return Code.KEY_PAUSED if record.state == "paused" else None

    # ---- the decision ----

    def _decide(
        self, key: Key, plan: Plan, amounts: tuple[int, ...], *, model: str, now: float
    ) -> Decision:
        planned, times = plan.limits, self._times(now)
        with self._lock:
            self._drop_unsettled(times[1])
            waits = [
                each.gauge.wait_ms(each.counter.state, amounts[each.metric], times[each.is_bucket])
                for each in planned
            ]
            if not any(waits):
                return self._charge(key, plan, amounts, model=model, times=times)
            states = [each.counter.state for each in planned]
            self._count_refused(planned, waits, place=place_of(times, key.id, model))
        code = Code.REQUEST_TOO_LARGE if NEVER in waits else Code.LIMIT_EXCEEDED
        readings = Readings(planned, states, times, waits, plan.policy, plan.announced)
        return self._counted(_about(code, key, readings=readings))

    def _charge(
        self,
        key: Key,
        plan: Plan,
        amounts: tuple[int, ...],
        *,
        model: str,
        times: tuple[int, int],
    ) -> Decision:
        states = []
        dirty = self._counters.dirty
        for each in plan.limits:
            counter = each.counter
            counter.state = each.gauge.charge(
                counter.state, _charged(each, amounts), times[each.is_bucket]
            )
            states.append(counter.state)
            dirty[counter] = each
        self._counters.tally.admit(place_of(times, key.id, model), amounts[1], amounts[2])
        decision_id = self._series + str(next(self._numbers))
        self._open[decision_id] = _Reservation(
            key.id, model, times[1], plan.limits, states, amounts
        )
        self.tally[Code.ALLOWED] += 1
        readings = Readings(plan.limits, states, times, (), plan.policy, plan.announced)
        return _about(Code.ALLOWED, key, decision_id=decision_id, readings=readings)

    def _settle(
        self, reservation: _Reservation, actual: tuple[int, ...], times: tuple[int, int]
    ) -> None:
        for each, hold in reservation.holds():
            counter = each.counter
            counter.state = each.gauge.settle(
                counter.state, hold, actual=actual[each.metric], now_ms=times[each.is_bucket]
            )
            # A plan made since, perhaps of another tier, says better under what it stands.
            self._counters.dirty.setdefault(counter, each)
        place = place_of(times, reservation.key, reservation.model)
        self._counters.tally.settle(place, reservation.amounts, actual)

    def _drop_unsettled(self, steady_ms: int) -> None:
        # In order of admission, so only the oldest has to be looked at.
        while self._open:
            oldest = next(iter(self._open))
            reservation = self._open[oldest]
            is_recent = steady_ms - reservation.at_ms < UNSETTLED_MS
            if is_recent and len(self._open) <= UNSETTLED_MAX:
                return
            del self._open[oldest]
            for each, hold in reservation.holds():
                # What was reserved stands as used; a request in flight is no longer believed in.
                if each.metric == _IN_FLIGHT:
                    state = each.counter.state
                    each.counter.state = each.gauge.settle(state, hold, actual=0, now_ms=steady_ms)
                    self._counters.dirty.setdefault(each.counter, each)

    def _times(self, now: float) -> tuple[int, int]:
        """Unix milliseconds by the portal's clock, and as even as the monotonic clock."""
        return int(now * 1000), int(self._steady.now() * 1000)

    def _count_refused(
        self, planned: Sequence[PlannedLimit], waits: Sequence[int], *, place: Place
    ) -> None:
        name = refusing_name((each.name for each in planned), waits)
        self._counters.tally.refuse(place, name, is_known=True)
        for each, wait in zip(planned, waits, strict=True):
            # The portal must not show as empty what refuses, whatever was lost in a kill.
            if wait:
                self._counters.dirty[each.counter] = each

    def _refuse(
        self, code: Code, key: Key | None = None, *, model: str | None = None, is_call: bool = True
    ) -> Decision:
        if key is None:
            return self._counted(Decision(code))
        if is_call:
            place = place_of(self._times(self.replica.time.now()), key.id, model or "")
            with self._lock:
                self._counters.tally.refuse(place, code.value, is_known=False)
        return self._counted(_about(code, key))

    def _counted(self, refused: Decision) -> Decision:
        self.tally[refused.code] += 1
        return refused._replace(is_observed=True) if self._lets_pass(refused.code) else refused

    def _lets_pass(self, code: Code) -> bool:
        return self.is_observing and code not in _REFUSED_ALWAYS


_NOTHING = (0,) * len(METRIC_ORDER)
_NO_READINGS = Readings()


def _charged(each: PlannedLimit, amounts: tuple[int, ...]) -> int:
    # Spend is known when the answer is complete: admitting asks for 1 and charges nothing.
    return 0 if each.metric == _SPEND else amounts[each.metric]


def _about(
    code: Code, key: Key, *, decision_id: str = "", readings: Readings = _NO_READINGS
) -> Decision:
    record = key.record
    if record is None:
        return Decision(code, "", None, key.id)
    return Decision(code, decision_id, record.org, key.id, record.environment, readings)
