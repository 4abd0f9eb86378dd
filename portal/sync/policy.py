"""Pure rules: how alive a gateway is, and what a receipt says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

LATE_AFTER = timedelta(seconds=15)
LOST_AFTER = timedelta(minutes=5)
OLD_TOKEN_LASTS = timedelta(hours=24)


class GatewayState(StrEnum):
    NEW = "new"
    CONNECTED = "connected"
    LATE = "late"
    LOST = "lost"


def gateway_state(seen_at: datetime | None, *, at: datetime) -> GatewayState:
    """How long a gateway has been silent, as one word (SYNC 4)."""
    if seen_at is None:
        return GatewayState.NEW
    silent = at - seen_at
    if silent <= LATE_AFTER:
        return GatewayState.CONNECTED
    return GatewayState.LATE if silent <= LOST_AFTER else GatewayState.LOST


def counts_with_others(health: Mapping[str, Any] | None) -> bool:
    """Whether a gateway said that it shares its counters with others (SYNC 2, report)."""
    return (health or {}).get("counters") == "shared"


@dataclass(frozen=True)
class Acknowledgement:
    """One gateway's line of a receipt. `took` is None while it has not answered."""

    gateway: str
    took: timedelta | None
    seen_at: datetime | None
    state: GatewayState

    @property
    def is_awaited(self) -> bool:
        """Whether an answer can be expected at any moment."""
        return self.took is None and self.state is GatewayState.CONNECTED


@dataclass(frozen=True)
class Receipt:
    """Which of the gateways enrolled at a revision's commit hold it, and how long each took."""

    committed_at: datetime
    acknowledgements: Sequence[Acknowledgement]

    @property
    def is_complete(self) -> bool:
        return all(line.took is not None for line in self.acknowledgements)

    @property
    def waiting(self) -> list[Acknowledgement]:
        return [line for line in self.acknowledgements if line.took is None]

    @property
    def count(self) -> str:
        """ "3 of 4 gateways"."""
        total = len(self.acknowledgements)
        return f"{total - len(self.waiting)} of {total} gateways"

    @property
    def is_awaited(self) -> bool:
        """Whether a gateway's answer can be expected at any moment."""
        return any(line.is_awaited for line in self.acknowledgements)

    @property
    def seconds(self) -> str | None:
        """How long the slowest that answered took, such as "0.03"; None when none did."""
        times = [line.took for line in self.acknowledgements if line.took is not None]
        # A gateway's clock plays no part: both instants are the portal's, but a wall clock may step.
        return f"{max(0.0, max(times).total_seconds()):.2f}" if times else None
