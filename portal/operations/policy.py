"""Pure rules: what counts as wrong, and from when on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from portal.operations.models import Kind
from portal.sync.policy import LOST_AFTER, GatewayState

# A portal that was away heard nobody: gateways get this long to come back before they count as lost.
RETURN_AFTER = timedelta(minutes=1)
# Looked at so seldom, nobody looks: the jobs do not run.
UNWATCHED_AFTER = timedelta(minutes=2)
UNSIGNED_AFTER = timedelta(minutes=1)
OUTBOX_AFTER = timedelta(minutes=15)
JOB_AFTER = timedelta(minutes=1)
# A job that fails is tried every few seconds: a note so old is of a process that is gone.
STALE_AFTER = timedelta(minutes=10)
# A portal that answers takes some thousand rows a second: so many are gone within one heartbeat or two.
SPOOL_ROWS_MAX = 2_000
HOLDS = {Kind.SPOOL_GROWING: timedelta(minutes=5)}

LOG_OK = "ok"


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now. `may_open` False: it keeps an open alert open, but opens none."""

    kind: Kind
    text: str
    subject: str = ""
    name: str = ""
    may_open: bool = True

    @property
    def identity(self) -> tuple[Kind, str]:
        return self.kind, self.subject


@dataclass(frozen=True)
class Outbox:
    """How mail stands. `untried_since`: when the longest due one that nobody has tried was due.

    `tried_since`: when the oldest was written that was tried in vain and that no mail went out after.
    """

    waiting: int
    oldest_at: datetime | None
    untried_since: datetime | None
    tried_since: datetime | None
    sent_at: datetime | None


def must_hold(kind: Kind) -> timedelta:
    """How long it must have been wrong before anybody is told."""
    return HOLDS.get(kind, timedelta())


def log_problem(health: Mapping[str, Any]) -> str | None:
    """The code for which a gateway does not take the log, by its last report; None while it does."""
    said = health.get("log")
    return said if isinstance(said, str) and said != LOG_OK else None


def is_diverged(health: Mapping[str, Any]) -> bool:
    """Whether a gateway says that what the portal sent did not add up, twice and as a whole (SYNC 3.3)."""
    return health.get("link") == "diverged"


def spool_rows(health: Mapping[str, Any]) -> int:
    """How many rows of usage and counters wait at a gateway."""
    return number(health, "spool") or 0


def number(health: Mapping[str, Any], name: str) -> int | None:
    """A figure of a report, None where another program wrote something else there."""
    value = health.get(name)
    return value if type(value) is int and value >= 0 else None


def is_watched(looked_at: datetime | None, *, at: datetime) -> bool:
    """Whether the jobs run: they look every few seconds."""
    return looked_at is not None and at - looked_at <= UNWATCHED_AFTER


def may_be_lost(state: GatewayState, *, since: datetime | None, at: datetime) -> bool:
    """Whether silence is the gateway's and not the portal's own, which was away until `since`."""
    return state is GatewayState.LOST and since is not None and at - since >= RETURN_AFTER


def is_outbox_stuck(outbox: Outbox, *, at: datetime) -> bool:
    """Whether mail does not leave. One address that no server takes is not that, once others got theirs."""
    is_still = outbox.sent_at is None or at - outbox.sent_at >= OUTBOX_AFTER
    untried, tried = outbox.untried_since, outbox.tried_since
    return is_still and any(
        each is not None and at - each >= OUTBOX_AFTER for each in (untried, tried)
    )


LOST_MINUTES = int(LOST_AFTER.total_seconds() // 60)
