"""How full each limit of an organisation is: the counters that the gateways decide with, added up.

A gateway tells of a counter when it changes. In between it is the same here as there: a bucket falls
evenly until it is full again, a window ends at its instant, requests in flight stand until one ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.adjustments import Cap
from plimsoll.contract.coming import capped
from plimsoll.contract.fold import Policy
from plimsoll.contract.limits import ALL_MODELS, Cell, Kind, Limit
from portal.keys.models import ApiKey
from portal.tiers.queries import current_grants, current_tiers
from portal.tiers.words import Identity, identity
from portal.transparency.queries import policy
from portal.usage.models import MeterCounter


@dataclass(frozen=True)
class Gauge:
    """One limit, with what is used of it now.

    `used` adds up the gateways that count for themselves, `gateways` of them; those that share a
    counter are one. `full_at` of a bucket, `resets_at` of a window; `heard_at`: when a gateway last
    told of a change, None where nothing was ever used. All in Unix seconds.
    """

    limit: Limit
    used: int
    gateways: int
    full_at: int | None
    resets_at: int | None
    heard_at: int | None

    @property
    def quota(self) -> int:
        return self.limit.quota

    @property
    def capacity(self) -> int:
        """The most that can be used at once: a bucket's burst, else the quota."""
        return self.limit.capacity

    @property
    def remaining(self) -> int:
        return max(0, self.capacity - self.used)


def meter(session: Session, org_id: str, at: int) -> list[Gauge]:
    """Every limit that the organisation has at an instant, grants included, in the order of pages."""
    in_force = policy(session, at)
    names = {cell.name: identity(cell) for cell in in_force.limits}
    counters: dict[Identity, list[MeterCounter]] = defaultdict(list)
    query = select(MeterCounter).where(MeterCounter.org_id == org_id, MeterCounter.owner == org_id)
    for counter in session.scalars(query):
        # A counter outlives a move to another tier, under whose name of the limit it was told.
        if counter.name in names:
            counters[names[counter.name]].append(counter)
    limits = held_limits(session, in_force, org_id=org_id, at=at)
    return [gauge(limit, counters[identity(limit.cell)], at) for limit in limits]


def held_limits(session: Session, in_force: Policy, *, org_id: str, at: int) -> list[Limit]:
    """The limits of the organisation's tier on the models it offers, raised by its grants."""
    tier = current_tiers(session, [org_id])[org_id]
    grants = current_grants(session, org_id, datetime.fromtimestamp(at, UTC))
    found = []
    for cell in sorted(in_force.limits):
        if cell.tier == tier and _is_offered(in_force, cell):
            limit = in_force.limits[cell].limit
            for grant in grants:
                if identity(grant.raises) == identity(cell):
                    limit = limit.raised(quota=grant.quota, burst=grant.burst)
            found.append(limit)
    return found


def gauge(limit: Limit, counters: Iterable[MeterCounter], at: int) -> Gauge:
    """How full a limit is, from what each gateway last told of it."""
    newest: dict[str, MeterCounter] = {}
    # Of two told in one second the fuller: the meter never says less than stands at the gate.
    for counter in sorted(counters, key=lambda each: (each.at, each.used)):
        newest["" if counter.is_shared else counter.gateway_id] = counter
    used = {name: _used(limit, counter, at) for name, counter in newest.items()}
    busy = [counter for name, counter in newest.items() if used[name]]
    is_bucket = limit.cell.kind is Kind.BUCKET
    full = [end for each in busy if is_bucket and (end := _full_at(limit, each)) is not None]
    return Gauge(
        limit=limit,
        used=sum(used.values()),
        gateways=len(newest),
        full_at=max(full, default=None),
        resets_at=max(
            (each.resets_at for each in busy if each.resets_at is not None), default=None
        ),
        heard_at=max((each.at for each in newest.values()), default=None),
    )


def cap_gauges(
    session: Session, org_id: str, limits: Sequence[Limit], *, at: int
) -> list[tuple[ApiKey, Gauge]]:
    """The caps of keys of which a gateway told, with the keys that they bind; `limits` are the organisation's."""
    counters = cap_counters(session, org_id)
    if not counters:
        return []
    lineages = {owner for owner, _ in counters}
    keys = select(ApiKey).where(ApiKey.org_id == org_id, ApiKey.lineage.in_(lineages))
    keys = keys.where(ApiKey.revoked_at.is_(None), ApiKey.superseded_at.is_(None))
    found = []
    for key in session.scalars(keys.order_by(ApiKey.name_folded)):
        held = (capped(Cap(**each), limits) for each in key.caps)
        found += [
            (key, gauge(limit, told, at))
            for limit in held
            if (told := counters.get((key.lineage, limit.cell.name)))
        ]
    return found


def cap_counters(
    session: Session, org_id: str, *, lineage: str | None = None
) -> Mapping[tuple[str, str], list[MeterCounter]]:
    """What the gateways told of caps, by lineage of the key and name of the cap: of one lineage, or of all."""
    is_asked = MeterCounter.owner != org_id if lineage is None else MeterCounter.owner == lineage
    found: dict[tuple[str, str], list[MeterCounter]] = defaultdict(list)
    for counter in session.scalars(
        select(MeterCounter).where(MeterCounter.org_id == org_id, is_asked)
    ):
        found[counter.owner, counter.name].append(counter)
    return found


def _used(limit: Limit, counter: MeterCounter, at: int) -> int:
    if limit.cell.kind is Kind.WINDOW:
        return counter.used if counter.resets_at is not None and at < counter.resets_at else 0
    if limit.cell.kind is Kind.CONCURRENCY:
        return counter.used
    whole = _to_refill(limit, counter)
    # As at a gate, which refills by the present quota for all the time since.
    left = whole - max(0, at - counter.at) * limit.quota
    # Rounded up, as gateways do: it never says less than stands at the gate.
    return -(-counter.used * left // whole) if left > 0 else 0


def _to_refill(limit: Limit, counter: MeterCounter) -> int:
    """What a bucket had to refill when it was told, in units that its quota is per second.

    It was told in whole seconds: under another quota the last of them may be a long time.
    """
    if counter.full_at is None:
        return counter.used * int(limit.cell.period or 0)
    is_changed = limit.quota != counter.quota
    return (counter.full_at - counter.at + is_changed) * counter.quota


def _full_at(limit: Limit, counter: MeterCounter) -> int | None:
    """When a bucket will be full again; under a quota of 0 never."""
    if not limit.quota:
        return None
    return counter.at - (-_to_refill(limit, counter) // limit.quota)


def _is_offered(in_force: Policy, cell: Cell) -> bool:
    return cell.model == ALL_MODELS or (cell.tier, cell.model) in in_force.offers
