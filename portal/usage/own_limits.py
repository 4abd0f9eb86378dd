"""What an API key may ask of its own limits: as the check service's `GET /limits` has it (EXACT 25)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import tokens
from plimsoll.contract.adjustments import Cap
from plimsoll.contract.coming import Coming, capped, coming_limits
from plimsoll.contract.effect import Ahead, upcoming_tightenings
from plimsoll.contract.limits import ALL_MODELS, Kind
from plimsoll.contract.networks import allows_address, parse_networks
from plimsoll.contract.windows import window_bounds
from portal.core import clock
from portal.core.secrets import digest
from portal.keys.models import ApiKey, Environment, KeyState
from portal.orgs.models import Org
from portal.tiers.queries import current_assignment, open_grants
from portal.transparency.queries import signed_log
from portal.usage import errors
from portal.usage.meter import Gauge, cap_counters, gauge, meter
from portal.web.filters import iso

_REFUSED = {
    KeyState.REVOKED: errors.KeyRevoked,
    KeyState.EXPIRED: errors.KeyExpired,
    KeyState.PAUSED: errors.KeyPaused,
}


@dataclass(frozen=True)
class OwnLimits:
    """The limits that a key's requests meet, what is announced of them, and the nearest tightening."""

    gauges: tuple[Gauge, ...]
    coming: tuple[Coming, ...]
    ahead: Ahead | None

    def to_json(self, at: int) -> dict[str, Any]:
        """The check service's form; `announced` is there when something is."""
        found: dict[str, Any] = {"limits": [_row(each, at) for each in self.gauges]}
        if self.coming:
            found["announced"] = [each.to_json(effective_at=iso(each.at)) for each in self.coming]
        return found


def find_key(session: Session, secret: str | None, *, brand: str, ip: str | None) -> ApiKey:
    """The key whose secret was sent, if it could be used now. Raises as a gate refuses, in its order."""
    if not secret:
        raise errors.KeyMissing
    prefixes = (f"{brand}_{each.value}_" for each in Environment)
    if not any(tokens.looks_like(secret, prefix) for prefix in prefixes):
        raise errors.KeyMalformed
    key = session.scalar(select(ApiKey).where(ApiKey.digest == digest(secret)))
    if key is None:
        raise errors.KeyNotTaken
    refusal = _REFUSED.get(key.state(clock.now()))
    if refusal is not None:
        raise refusal
    if session.get_one(Org, key.org_id).suspended_at:
        raise errors.OrgSuspended
    if not allows_address(parse_networks(key.networks), ip):
        raise errors.NetworkNotAllowed
    return key


def own_limits(session: Session, key: ApiKey) -> OwnLimits:
    """Every limit that requests with a key meet, its caps among them, in the check service's order."""
    at, log = clock.timestamp(), signed_log(session)
    gauges = _gauges(session, key, at)
    grants = open_grants(session, key.org_id, datetime.fromtimestamp(at, UTC))
    limits = [each.limit for each in gauges]
    coming = coming_limits(log.history, limits, grants=grants, at=at, policy=log.policy)
    tier = current_assignment(session, key.org_id).tier
    allowed = log.policy(at).models if key.models is None else key.models
    met = {(tier, model) for model in (*allowed, ALL_MODELS)}
    ahead = (each for each in upcoming_tightenings(log.history, at) if met & each.touches)
    return OwnLimits(tuple(gauges), tuple(coming), next(ahead, None))


def _gauges(session: Session, key: ApiKey, at: int) -> list[Gauge]:
    in_force = signed_log(session).policy(at)
    held = {each.limit.cell: each for each in meter(session, key.org_id, at)}
    tier = current_assignment(session, key.org_id).tier
    told = cap_counters(session, key.org_id, lineage=key.lineage)
    found: dict[str, Gauge] = {}
    for model in (*sorted(in_force.models if key.models is None else key.models), None):
        if model is not None and (tier, model) not in in_force.offers:
            continue
        cells = [each.limit.cell for each in in_force.limits_for(tier, model)]
        met = [held[cell] for cell in cells if cell in held]
        found |= {each.limit.cell.name: each for each in met}
        for cap in (Cap(**each) for each in key.caps):
            if cap.model in {model, ALL_MODELS}:
                limit = capped(cap, [each.limit for each in met])
                name = limit.cell.name
                found[name] = gauge(limit, told.get((key.lineage, name), ()), at)
    return list(found.values())


def _row(each: Gauge, at: int) -> dict[str, Any]:
    cell = each.limit.cell
    return {
        "limit": cell.name,
        "metric": cell.metric,
        "kind": cell.kind.value,
        "period": cell.period,
        "quota": each.limit.quota,
        "burst": each.limit.burst,
        "used": each.used,
        "remaining": each.remaining,
        **_free_at(each, at),
    }


def _free_at(each: Gauge, at: int) -> dict[str, str | None]:
    cell = each.limit.cell
    if cell.kind is Kind.WINDOW:
        return {"resets_at": iso(each.resets_at or window_bounds(cell.period, at)[1])}
    if cell.kind is Kind.CONCURRENCY or (each.used and each.full_at is None):
        return {"full_at": None}
    # The gateways tell whole seconds; people's JSON has milliseconds here (EXACT 1).
    return {"full_at": iso(each.full_at or at).replace("Z", ".000Z")}
