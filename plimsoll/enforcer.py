"""Decides about requests: `check` before, `settle` after (LIMITS.md section 1, EXACT.md 19 to 26).

One decision is atomic over all limits that apply: either each of them takes its share or none.
"""

import functools
import hashlib
from collections import Counter as Tally
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plimsoll.contract import tokens
from plimsoll.contract.coming import Coming, coming_limits
from plimsoll.contract.fold import policy_of
from plimsoll.contract.limits import EXACT_BOUND
from plimsoll.contract.networks import allows_address
from plimsoll.contract.windows import NEVER
from plimsoll.decision import Code, Decision, Readings
from plimsoll.ledger import Asked, Ledger, Took, Verdict
from plimsoll.plans import Plan, Planner
from plimsoll.replica import Key, Org, Replica

if TYPE_CHECKING:
    from plimsoll.counters_redis import SharedCounters
    from plimsoll.sharing import Sharing

KEY_PREFIXES = ("plim_live_", "plim_test_")

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
        shared: "SharedCounters | None" = None,
    ) -> None:
        """`observe` lets pass what it would refuse; `max_stale_seconds` refuses on old state.

        `shared` are the counters to count in together with other gateways.
        """
        self.replica = replica
        self.is_observing = observe
        self.max_stale_seconds = max_stale_seconds
        self.tally: Tally[Code] = Tally()
        self._key_prefixes = tuple(key_prefixes)
        self._ledger = Ledger(replica, sharing=_sharing(shared))
        self._planner = Planner(replica, self._ledger.counters, portal_url=portal_url)

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
        key = self._key(secret)
        if isinstance(key, Code):
            return self._refuse(key)
        times = self._ledger.times()
        plan = self._plan(key, model, client_ip=client_ip, now=times[0] / 1000)
        if isinstance(plan, Code):
            return self._refuse(plan, key, model=model)
        output = plan.reserve_output if max_tokens is None else max_tokens
        total = input_tokens + output
        if max_tokens is None and plan.reserve_total is not None:
            total = max(input_tokens, plan.reserve_total)
        # By place in METRIC_ORDER: requests, input, output, total, in flight, spend.
        amounts = (1, input_tokens, output, total, 1, 1)
        found = self._ledger.decide(Asked(key.id, model or "", amounts), plan.limits, times)
        return self._decided(key, plan, found)

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
        states, times = self._ledger.read(limits)
        announced = self._planner.announced(key, org, now=now)
        readings = Readings(limits, states, times, announced=announced)
        return _about(Code.ALLOWED, key, readings=readings)

    def coming(self, decision: Decision) -> list[Coming]:
        """What the limits of a decision will be next, as far as it is announced, soonest first."""
        org = self.replica.org(decision.org or "")
        log = self.replica.logbook.standing
        return coming_limits(
            log.history,
            [reading.limit for reading in decision.limits],
            grants=() if org is None else org.record.grants,
            at=int(self.replica.time.now()),
            policy=functools.partial(policy_of, log.history),
        )

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
        took = Took(input_tokens, output_tokens, spend_microusd or 0)
        return self._ledger.settle(decision_id, took, failed=failed)

    @property
    def unsettled(self) -> int:
        """How many admitted requests are not settled yet."""
        return self._ledger.unsettled

    def save(self) -> None:
        """Write changed counters, and what was counted, to the store; call it each second and at the end."""
        self._ledger.save()

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
        if not allows_address(key.networks, client_ip):
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

    def _decided(self, key: Key, plan: Plan, found: Verdict) -> Decision:
        readings = Readings(
            plan.limits, found.states, found.times, found.waits, plan.policy, plan.announced
        )
        if found.decision_id:
            self.tally[Code.ALLOWED] += 1
            return _about(Code.ALLOWED, key, decision_id=found.decision_id, readings=readings)
        code = Code.REQUEST_TOO_LARGE if NEVER in found.waits else Code.LIMIT_EXCEEDED
        return self._counted(_about(code, key, readings=readings))

    def _refuse(
        self, code: Code, key: Key | None = None, *, model: str | None = None, is_call: bool = True
    ) -> Decision:
        if key is None:
            return self._counted(Decision(code))
        if is_call:
            self._ledger.refuse(key.id, model or "", code.value)
        return self._counted(_about(code, key))

    def _counted(self, refused: Decision) -> Decision:
        self.tally[refused.code] += 1
        return refused._replace(is_observed=True) if self._lets_pass(refused.code) else refused

    def _lets_pass(self, code: Code) -> bool:
        return self.is_observing and code not in _REFUSED_ALWAYS


_NO_READINGS = Readings()


def _sharing(shared: "SharedCounters | None") -> "Sharing | None":
    if shared is None:
        return None
    from plimsoll.sharing import Sharing

    return Sharing(shared)


def _about(
    code: Code, key: Key, *, decision_id: str = "", readings: Readings = _NO_READINGS
) -> Decision:
    record = key.record
    if record is None:
        return Decision(code, "", None, key.id)
    return Decision(code, decision_id, record.org, key.id, record.environment, readings)
