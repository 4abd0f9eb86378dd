from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from plimsoll.contract import adjustments
from plimsoll.contract.records import OrgRecord
from plimsoll.contract.terms import Tier
from portal.accounts.models import User
from portal.core import clock
from portal.core.errors import NotFound
from portal.orgs.models import Org
from portal.tiers.errors import NoTiersYet, TierOffersNothing, UnknownTier
from portal.tiers.models import Grant, GrantState, TierAssignment, TierMove, raise_of
from portal.transparency.queries import policy


def current_assignment(session: Session, org_id: str) -> TierAssignment:
    """The step that put the organisation where it is."""
    return session.scalars(
        select(TierAssignment)
        .where(TierAssignment.org_id == org_id)
        .order_by(TierAssignment.number.desc())
        .limit(1)
    ).one()


@dataclass(frozen=True)
class Standing:
    """Where an organisation stands: its tier, and the move that is planned."""

    assignment: TierAssignment
    move: TierMove | None

    @property
    def token(self) -> str:
        """What a form carries, so that an act finds out whether somebody else was quicker."""
        planned = f"-{self.move.id}" if self.move else ""
        return f"{self.assignment.number}{planned}"


def get_standing(session: Session, org_id: str) -> Standing:
    """How the organisation stands now."""
    return Standing(current_assignment(session, org_id), find_planned_move(session, org_id))


def find_planned_move(session: Session, org_id: str) -> TierMove | None:
    """The move that is planned and not done; there is at most one."""
    return session.scalars(
        select(TierMove).where(
            TierMove.org_id == org_id, TierMove.cancelled_at.is_(None), TierMove.done_at.is_(None)
        )
    ).one_or_none()


def list_moves(session: Session, org_id: str) -> list[TierMove]:
    """All moves that were ever planned for an organisation, newest first."""
    return list(
        session.scalars(
            select(TierMove)
            .where(TierMove.org_id == org_id)
            .order_by(TierMove.placed_at.desc(), TierMove.id.desc())
        )
    )


def get_move(session: Session, org: Org, *, move_id: str, for_update: bool = False) -> TierMove:
    """A planned move of an organisation that the caller may see. Raises NotFound."""
    query = select(TierMove).where(TierMove.id == move_id, TierMove.org_id == org.id)
    move = session.scalar(query.with_for_update() if for_update else query)
    if move is None:
        raise NotFound
    return move


def list_grants(session: Session, org_id: str) -> list[Grant]:
    """All grants of an organisation, the one that ends last first."""
    return list(
        session.scalars(
            select(Grant)
            .where(Grant.org_id == org_id)
            .order_by(Grant.ends_at.desc(), Grant.id.desc())
        )
    )


def current_grants(session: Session, org_id: str, at: datetime) -> list[Grant]:
    """The grants of an organisation that are in force at an instant."""
    return [each for each in list_grants(session, org_id) if each.state(at) is GrantState.IN_FORCE]


def open_grants(session: Session, org_id: str, at: datetime) -> list[adjustments.Grant]:
    """The grants of an organisation that are planned or in force at an instant, as gateways read them."""
    is_open = {GrantState.PLANNED, GrantState.IN_FORCE}
    return [each.raises for each in list_grants(session, org_id) if each.state(at) in is_open]


def get_grant(session: Session, org: Org, *, grant_id: str, for_update: bool = False) -> Grant:
    """A grant of an organisation that the caller may see. Raises NotFound."""
    query = select(Grant).where(Grant.id == grant_id, Grant.org_id == org.id)
    found = session.scalar(query.with_for_update() if for_update else query)
    if found is None:
        raise NotFound
    return found


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


def name_of(session: Session, user_id: str | None) -> str:
    """How pages name who did something: the address of a person, else the portal itself."""
    email = session.scalar(select(User.email).where(User.id == user_id)) if user_id else None
    return email or "the portal"
