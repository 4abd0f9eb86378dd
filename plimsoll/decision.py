"""The answer to one question: may this request pass? (EXACT.md 19 to 24.)"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, Protocol

from plimsoll import headers as fields
from plimsoll.contract.limits import Kind, Limit, Period
from plimsoll.contract.windows import NEVER, Gauge, State


class Code(StrEnum):
    """Why a request passes or not."""

    ALLOWED = "allowed"
    KEY_MISSING = "key_missing"
    KEY_MALFORMED = "key_malformed"
    KEY_UNKNOWN = "key_unknown"
    KEY_REVOKED = "key_revoked"
    KEY_EXPIRED = "key_expired"
    KEY_PAUSED = "key_paused"
    ORG_SUSPENDED = "org_suspended"
    NETWORK_NOT_ALLOWED = "network_not_allowed"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    REQUEST_TOO_LARGE = "request_too_large"
    LIMIT_EXCEEDED = "limit_exceeded"
    NOT_READY = "not_ready"


STATUSES: Mapping[Code, int] = MappingProxyType(
    {
        Code.ALLOWED: 200,
        Code.KEY_MISSING: 401,
        Code.KEY_MALFORMED: 401,
        Code.KEY_UNKNOWN: 401,
        Code.KEY_REVOKED: 401,
        Code.KEY_EXPIRED: 401,
        Code.KEY_PAUSED: 403,
        Code.ORG_SUSPENDED: 403,
        Code.NETWORK_NOT_ALLOWED: 403,
        Code.MODEL_NOT_ALLOWED: 403,
        Code.REQUEST_TOO_LARGE: 413,
        Code.LIMIT_EXCEEDED: 429,
        Code.NOT_READY: 503,
    }
)


class Change(NamedTuple):
    """The change that gave a limit its present value: its number and where it is explained."""

    number: int
    url: str


class Reading(NamedTuple):
    """One limit as it stood when the decision was made.

    `shift_ms` turns the times of `state` and `now_ms` into the portal's. `wait_ms` is how long
    this request would have to wait: 0, milliseconds, or `NEVER` / `UNKNOWN` of
    `plimsoll.contract.windows`.
    """

    name: str
    limit: Limit
    gauge: Gauge
    state: State
    now_ms: int
    shift_ms: int
    wait_ms: int
    change: Change | None

    @property
    def metric(self) -> str:
        """What the limit counts."""
        return self.limit.cell.metric

    @property
    def kind(self) -> Kind:
        """bucket, window or concurrency."""
        return self.limit.cell.kind

    @property
    def period(self) -> Period:
        """Seconds, `month`, or None for concurrency."""
        return self.limit.cell.period

    @property
    def quota(self) -> int:
        """The amount per period, or requests at once."""
        return self.limit.quota

    @property
    def burst(self) -> int | None:
        """The most a bucket holds; None for other kinds."""
        return self.limit.burst

    @property
    def used(self) -> int:
        """The amount in use, in the metric's unit."""
        return self.gauge.used(self.state, self.now_ms)

    @property
    def remaining(self) -> int:
        """The largest amount that would fit now."""
        return self.gauge.remaining(self.state, self.now_ms)

    @property
    def at_ms(self) -> int:
        """When it was read: Unix milliseconds by the portal's clock."""
        return self.now_ms + self.shift_ms

    @property
    def free_at_ms(self) -> int | None:
        """`resets_at` of a window, `full_at` of a bucket (Unix milliseconds); else None."""
        at = self.gauge.free_at_ms(self.state, self.now_ms)
        return None if at is None else at + self.shift_ms

    @property
    def enough_at_ms(self) -> int | None:
        """When this request would fit (Unix milliseconds); None if no clock knows."""
        return None if self.wait_ms < 0 else self.at_ms + self.wait_ms


class Planned(Protocol):
    """A limit as the enforcer planned it; see `plimsoll.plans.PlannedLimit`."""

    @property
    def name(self) -> str: ...
    @property
    def limit(self) -> Limit: ...
    @property
    def gauge(self) -> Gauge: ...
    @property
    def is_bucket(self) -> bool: ...
    @property
    def change(self) -> Change | None: ...


class Readings(NamedTuple):
    """All limits of a decision, taken apart only when somebody looks.

    `states` are those after the decision; `times` are Unix milliseconds, by the portal's clock
    and by the steady one that buckets refill by; `waits` is empty for an admission. `policy` is
    the `RateLimit-Policy` field and `announced` the fields that tell of a coming change: both
    are the same for all requests under one plan.
    """

    planned: Sequence[Planned] = ()
    states: Sequence[State] = ()
    times: tuple[int, int] = (0, 0)
    waits: Sequence[int] = ()
    policy: str = ""
    announced: tuple[tuple[str, str], ...] = ()

    def all(self) -> tuple[Reading, ...]:
        """One reading per limit."""
        waits = self.waits or (0,) * len(self.planned)
        return tuple(map(self._reading, self.planned, self.states, waits))

    def _reading(self, planned: Planned, state: State, wait_ms: int) -> Reading:
        at = self.times[planned.is_bucket]
        return Reading(
            planned.name,
            planned.limit,
            planned.gauge,
            state,
            at,
            self.times[0] - at,
            wait_ms,
            planned.change,
        )


class Decision(NamedTuple):
    """A verdict with its reasons. True when the request may pass.

    `id` is what `Enforcer.settle` takes; empty for a refusal, which costs nothing. `org`, `key`
    and `environment` (live or test) are known once the key was found. `is_observed` marks a
    request that passes only because the gateway observes: `code` then says what it would be.
    """

    code: Code
    id: str = ""
    org: str | None = None
    key: str | None = None
    environment: str | None = None
    readings: Readings = Readings()
    is_observed: bool = False

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.code is Code.ALLOWED or self.is_observed

    @property
    def status(self) -> int:
        """The HTTP status to answer with; 200 when the request may pass (EXACT.md 23)."""
        return STATUSES[Code.ALLOWED] if self.allowed else STATUSES[self.code]

    @property
    def limits(self) -> tuple[Reading, ...]:
        """All limits that applied, read after an admission was counted."""
        return self.readings.all()

    @property
    def refusing(self) -> tuple[Reading, ...]:
        """The limits that refuse: those that never admit this much, else those that must refill."""
        if self.code is Code.REQUEST_TOO_LARGE:
            return tuple(each for each in self.limits if each.wait_ms == NEVER)
        return tuple(each for each in self.limits if each.wait_ms)

    @property
    def retry_after_ms(self) -> int | None:
        """Exactly how long to wait; None when not limited, or when only other requests' end helps.

        The largest wait among the refusing limits (EXACT.md 21).
        """
        if self.code is not Code.LIMIT_EXCEEDED:
            return None
        return max((wait for wait in self.readings.waits if wait > 0), default=None)

    def headers(self) -> list[tuple[str, str]]:
        """RateLimit fields, a change ahead, and for refusals Retry-After and WWW-Authenticate.

        Add them to what an answer has: `Link` may stand there more than once.
        """
        return fields.header_fields(self)

    def problem(self) -> dict[str, object]:
        """The refusal as RFC 9457 problem details."""
        return fields.problem(self)
