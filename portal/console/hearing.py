"""How well the portal hears the gateways: whether a figure of use is all there is, and of when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal.core import clock
from portal.sync.queries import GatewayRow, list_gateways
from portal.usage.shown import list_told

# Gateways tell at least every five seconds that nothing waits.
FRESH = timedelta(seconds=30)


@dataclass(frozen=True)
class Silent:
    """A gateway that may have admitted what is not counted here; `since` None: it never told anything."""

    name: str
    since: datetime | None


@dataclass(frozen=True)
class Hearing:
    """`as_of`: all that was admitted until then is counted; None while some gateway never told.

    `local` gateways count for themselves.
    """

    enrolled: int
    local: int
    as_of: datetime | None
    silent: tuple[Silent, ...]

    @property
    def is_whole(self) -> bool:
        """Whether a 0 means that nothing is used."""
        return not self.silent


def get_hearing(session: Session) -> Hearing:
    """How the enrolled gateways are heard now."""
    gateways, told = list_gateways(session), list_told(session)
    heard = {each.name: _told_at(each, told.get(each.id)) for each in gateways}
    now = clock.now()
    silent = (Silent(name, at) for name, at in heard.items() if at is None or now - at > FRESH)
    return Hearing(
        enrolled=len(gateways),
        local=sum(each.health.get("counters") == "local" for each in gateways),
        as_of=_earliest(heard.values()),
        silent=tuple(silent),
    )


def _told_at(gateway: GatewayRow, usage_at: datetime | None) -> datetime | None:
    """Until when everything is known: its last report of use, or its last word that none waits."""
    is_empty = gateway.health.get("spool") == 0
    known = [at for at in (usage_at, gateway.seen_at if is_empty else None) if at is not None]
    return max(known, default=None)


def _earliest(heard: Iterable[datetime | None]) -> datetime | None:
    known = list(heard)
    if not known or None in known:
        return None
    return min(at for at in known if at is not None)
