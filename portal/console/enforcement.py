"""How far the gateways are with the limits that the page shows."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from portal.sync.queries import count_local_gateways, get_holding
from portal.transparency.models import CHECKPOINT_ID
from portal.transparency.queries import signed_log


@dataclass(frozen=True)
class Enforcement:
    """`holding` of the `enrolled` gateways have confirmed the newest signed log.

    `since` is when the last of them came to enforce the limits of now; `local` count for themselves.
    """

    enrolled: int
    holding: int
    since: datetime
    local: int


def get_enforcement(session: Session, *, change: int | None, since: int) -> Enforcement:
    """How far the gateways are; `change` made the limits of now at `since` (Unix seconds)."""
    found = signed_log(session).history.changes.get(change or 0)
    # The limits of now may be older than the newest entry: what counts is when theirs arrived.
    entry = str(found.seqs[-1]) if found else None
    holding = get_holding(session, ("checkpoint", CHECKPOINT_ID), since=("entry", entry))
    effective_at = datetime.fromtimestamp(since, UTC)
    return Enforcement(
        enrolled=holding.enrolled,
        holding=holding.holding,
        since=max([effective_at, *holding.received_at]),
        local=count_local_gateways(session),
    )
