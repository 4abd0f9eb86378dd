from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from plimsoll.contract import adjustments
from plimsoll.contract.records import OrgRecord
from plimsoll.contract.terms import Tier
from portal.core import clock
from portal.orgs.models import Org
from portal.tiers.errors import NoTiersYet, TierOffersNothing, UnknownTier
from portal.tiers.models import Grant, TierAssignment, raise_of
from portal.transparency.queries import policy


def current_assignment(session: Session, org_id: str) -> TierAssignment:
    """The step that put the organisation where it is."""
    return session.scalars(
        select(TierAssignment)
        .where(TierAssignment.org_id == org_id)
        .order_by(TierAssignment.number.desc())
        .limit(1)
    ).one()


def current_tiers(session: Session, org_ids: Iterable[str]) -> dict[str, str]:
    """The tier's slug of each organisation, in one query."""
    rows = session.execute(
        select(TierAssignment.org_id, TierAssignment.tier)
        .where(TierAssignment.org_id.in_(list(org_ids)))
        .order_by(TierAssignment.number)
    )
    return {org_id: tier for org_id, tier in rows}  # noqa: C416 -- the last of each wins


def current_tier_of(org_id: InstrumentedAttribute[str]) -> ScalarSelect[str]:
    """The tier's slug as a column, beside an organisation's id in the same query."""
    return (
        select(TierAssignment.tier)
        .where(TierAssignment.org_id == org_id)
        .order_by(TierAssignment.number.desc())
        .limit(1)
        .correlate(org_id.class_)
        .scalar_subquery()
    )


def list_assignments(session: Session, org_id: str) -> list[TierAssignment]:
    """An organisation's tiers, newest first."""
    return list(
        session.scalars(
            select(TierAssignment)
            .where(TierAssignment.org_id == org_id)
            .order_by(TierAssignment.number.desc())
        )
    )


def get_tier(session: Session, slug: str) -> Tier:
    """A published tier that offers something. Raises UnknownTier, TierOffersNothing."""
    in_force = policy(session, clock.timestamp())
    tier = in_force.tiers.get(slug)
    if tier is None:
        raise UnknownTier(field="tier")
    if not in_force.has_offers(slug):
        raise TierOffersNothing(field="tier")
    return tier


def list_tiers(session: Session) -> list[Tier]:
    """The published tiers that offer something, by rank."""
    in_force = policy(session, clock.timestamp())
    return [tier for tier in in_force.tiers_by_rank() if in_force.has_offers(tier.slug)]


def starting_tier(session: Session) -> Tier:
    """Where every organisation begins: the lowest-ranked automatic tier (EXACT 11). Raises NoTiersYet."""
    tier = policy(session, clock.timestamp()).starting_tier()
    if tier is None:
        raise NoTiersYet
    return tier


def build_org_records(
    session: Session, ids: Collection[str] | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The `org` records (EXACT 11) of these organisations, or of all, from columns: always fresh."""
    query = select(Org.id, Org.suspended_at, current_tier_of(Org.id))
    if ids is not None:
        query = query.where(Org.id.in_(ids))
    grants = _grants_on_record(session, ids)
    for org_id, suspended_at, tier in session.execute(query):
        state = "suspended" if suspended_at else "active"
        raised = tuple(grants.get(org_id, ()))
        yield org_id, OrgRecord(tier=tier, state=state, grants=raised).to_wire()


def _grants_on_record(
    session: Session, ids: Collection[str] | None
) -> dict[str, list[adjustments.Grant]]:
    """The grants that gateways hear of, whatever the time: they know each one's start and end."""
    columns = (Grant.id, Grant.model, Grant.metric, Grant.kind, Grant.period, Grant.quota)
    query = select(Grant.org_id, *columns, Grant.burst, Grant.starts_at, Grant.ends_at).where(
        Grant.ended_at.is_(None)
    )
    if ids is not None:
        query = query.where(Grant.org_id.in_(ids))
    found: dict[str, list[adjustments.Grant]] = {}
    for row in session.execute(query):
        found.setdefault(row.org_id, []).append(raise_of(row))
    return found
