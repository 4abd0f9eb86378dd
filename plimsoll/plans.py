"""Which limits a request of this key for this model meets, and until when that holds.

Tier limits from the verified log, raised by the organisation's grants, and caps of the key as
limits of their own beside them (LIMITS.md section 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plimsoll.contract.coming import capped, raised
from plimsoll.contract.effect import OPENING_CHANGE, Ahead
from plimsoll.contract.fold import LimitInForce
from plimsoll.contract.limits import (
    ALL_MODELS,
    METRICS,
    Counted,
    Kind,
    Limit,
    month_bounds,
    period_seconds,
)
from plimsoll.contract.windows import Gauge, gauge_of
from plimsoll.counters import Counter, LocalCounters
from plimsoll.decision import Change, Code
from plimsoll.headers import change_fields, policy_field
from plimsoll.replica import Key, Org, Replica

# A limit that changed within this time says which change it was.
_RECENT_SECONDS = 30 * 86_400

METRIC_ORDER: Mapping[str, int] = {name: place for place, name in enumerate(METRICS)}


@dataclass(frozen=True, slots=True, eq=False)
class PlannedLimit:
    """One limit with all that deciding about it needs; `metric` is its place in `METRIC_ORDER`.

    What is not charged when a request is admitted (spend) is known only when it is settled.
    Slots are read in half the time of a named tuple's fields, and each decision reads thirty.
    """

    name: str
    limit: Limit
    gauge: Gauge
    counter: Counter
    metric: int
    is_bucket: bool
    is_charged: bool
    change: Change | None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The limits for one organisation (or capped key) and model.

    It holds for `since` ≤ portal time < `until` while the log has `log_size` entries and the
    organisation is this one. `policy` is its `RateLimit-Policy` field, `announced` what tells of
    the nearest tightening ahead; the reserves are what a request without `max_tokens` reserves.
    """

    limits: tuple[PlannedLimit, ...]
    policy: str
    announced: tuple[tuple[str, str], ...]
    reserve_output: int
    reserve_total: int | None
    since: float
    until: float
    log_size: int
    org: Org


class Planner:
    """Makes plans and keeps them with the organisation or key that they are for."""

    def __init__(self, replica: Replica, counters: LocalCounters, *, portal_url: str = "") -> None:
        """`portal_url` is where changes are explained."""
        self._replica = replica
        self._counters = counters
        self._portal_url = portal_url.rstrip("/")

    def plan(self, key: Key, org: Org, model: str | None, *, now: float) -> Plan | Code:
        """The plan, or why there is none: `not_ready` or `model_not_allowed`."""
        is_capped = key.record is not None and bool(key.record.caps)
        plans: dict[str | None, Plan] = key.plans if is_capped else org.plans
        known = plans.get(model)
        if (
            known is not None
            and known.since <= now < known.until
            and known.log_size == self._replica.logbook.size
            and known.org is org
        ):
            return known
        made = self._make(key, org, model, now=now)
        if isinstance(made, Plan):
            plans[model] = made
        return made

    def all_plans(self, key: Key, org: Org, *, now: float) -> list[Plan] | Code:
        """The plans for every model that key and tier allow, and for requests without one."""
        made = [self.plan(key, org, model, now=now) for model in (*self._allowed(key, now), None)]
        plans = [plan for plan in made if isinstance(plan, Plan)]
        return plans or Code.NOT_READY

    def announced(self, key: Key, org: Org, *, now: float) -> tuple[tuple[str, str], ...]:
        """What tells of the nearest tightening ahead, whatever model the key is used for."""
        log = self._replica.logbook.standing
        tier, allowed = _tier(org, log.known_tiers), self._allowed(key, now)
        found = (log.ahead(now, tier=tier, model=model) for model in (*allowed, None))
        ahead = [each for each in found if each is not None]
        return self._announced(min(ahead, key=_nearness, default=None))

    def _allowed(self, key: Key, now: float) -> list[str]:
        policy = self._replica.logbook.policy(now)
        return sorted(policy.models if key.models is None else key.models)

    def _make(self, key: Key, org: Org, model: str | None, *, now: float) -> Plan | Code:
        # Taken once: a log that grows meanwhile makes the plan stale, not wrong.
        log = self._replica.logbook.standing
        policy = log.policy(now)
        tier = _tier(org, log.known_tiers)
        if not policy.has_offers(tier):
            return Code.NOT_READY
        if model is not None and (tier, model) not in policy.offers:
            return Code.MODEL_NOT_ALLOWED
        in_force = policy.limits_for(tier, model)
        grants = org.record.grants
        held = [each._replace(limit=raised(each.limit, grants, now)) for each in in_force]
        limits = [self._planned(each, org.id, now) for each in held]
        limits += self._capped(key, org, [each.limit for each in held], model=model)
        edges = [
            log.holds_until(now),
            *(grant.starts_at for grant in grants),
            *(grant.ends_at for grant in grants if grant.ends_at is not None),
            *(each.since + _RECENT_SECONDS for each in in_force),
            # The length of a month stands in the policy field.
            month_bounds(int(now))[1],
        ]
        return Plan(
            limits=tuple(limits),
            policy=policy_field(
                (each.name, each.limit.quota, _window(each, now)) for each in limits
            ),
            announced=self._announced(log.ahead(now, tier=tier, model=model)),
            reserve_output=policy.reserve(tier, "output_tokens"),
            reserve_total=policy.counting["reserve"].get(tier, {}).get("total_tokens"),
            since=now,
            until=min((edge for edge in edges if edge > now), default=float("inf")),
            log_size=log.size,
            org=org,
        )

    def _planned(self, each: LimitInForce, org_id: str, now: float) -> PlannedLimit:
        limit, since, number = each
        is_recent = number != OPENING_CHANGE and now < since + _RECENT_SECONDS
        change = Change(number, self._page_of(number)) if is_recent else None
        return self._limit(limit.cell.name, limit, org_id, change=change)

    def _announced(self, ahead: Ahead | None) -> tuple[tuple[str, str], ...]:
        if ahead is None:
            return ()
        return change_fields(
            ahead.change,
            # Without the portal's address a link would lead to the API's own host.
            url=self._page_of(ahead.change) if self._portal_url else None,
            effective_at=ahead.effective_at,
            direction=ahead.direction.value,
        )

    def _page_of(self, number: int) -> str:
        return f"{self._portal_url}/changelog/{number}"

    def _capped(
        self, key: Key, org: Org, held: Sequence[Limit], *, model: str | None
    ) -> list[PlannedLimit]:
        if key.record is None:
            return []
        owner = f"{org.id}:cap:{key.record.lineage}"
        limits = (capped(cap, held) for cap in key.record.caps if cap.model in {model, ALL_MODELS})
        return [self._limit(limit.cell.name, limit, owner, change=None) for limit in limits]

    def _limit(self, name: str, limit: Limit, owner: str, *, change: Change | None) -> PlannedLimit:
        return PlannedLimit(
            name=name,
            limit=limit,
            gauge=gauge_of(limit),
            counter=self._counters.get(owner, limit),
            metric=METRIC_ORDER[limit.cell.metric],
            is_bucket=limit.cell.kind is Kind.BUCKET,
            is_charged=METRICS[limit.cell.metric].counted is not Counted.SETTLED,
            change=change,
        )


def _window(each: PlannedLimit, now: float) -> int | None:
    period = each.limit.cell.period
    return None if period is None else period_seconds(period, int(now))


def _tier(org: Org, known_tiers: frozenset[str]) -> str:
    # After a move to a tier that the verified log does not know yet, the one before still holds.
    if org.record.tier in known_tiers or org.fallback is None:
        return org.record.tier
    return org.fallback


def _nearness(ahead: Ahead) -> tuple[int, int]:
    return ahead.effective_at, ahead.change
