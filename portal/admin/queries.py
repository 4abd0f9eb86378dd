from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from plimsoll.contract.terms import Tier
from plimsoll.contract.wording import duration
from portal.accounts.models import User
from portal.core import clock
from portal.core.actor import Actor
from portal.journal.models import Event
from portal.journal.queries import list_org_events
from portal.keys.overage import overage, show_planned
from portal.keys.queries import count_live
from portal.orgs.models import Org
from portal.orgs.queries import count_all_orgs, get_org_as_admin, list_all_orgs, owners
from portal.tiers.models import TierAssignment
from portal.tiers.policy import is_downgrade
from portal.tiers.queries import (
    current_tier_of,
    current_tiers,
    find_planned_move,
    get_standing,
    list_assignments,
    list_tiers,
)
from portal.tiers.shown import GrantShown, MoveShown, show_grants
from portal.transparency.queries import policy

ORGS_MAX = 200


@dataclass(frozen=True)
class OrgRow:
    """One line of the list of organisations."""

    id: str
    slug: str
    name: str
    owner: str
    tier: str
    state: str
    created_at: datetime


@dataclass(frozen=True)
class OrgPage:
    """All that the staff sees of one organisation. `tiers` maps slugs to published names."""

    org: Org
    tier: str
    tiers: dict[str, str]
    owners: list[User]
    live_keys: int
    assignments: list[TierAssignment]
    move: MoveShown | None
    overage: tuple[str, ...]
    grants: list[GrantShown]
    events: list[Event]

    @property
    def state(self) -> str:
        return "suspended" if self.org.suspended_at else "active"


@dataclass(frozen=True)
class OrgFilter:
    """Which organisations are asked for; empty = all."""

    search: str = ""
    tier: str = ""
    state: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it leaves nothing out."""
        return not (self.search or self.tier or self.state)

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """What it says besides the text."""
        found: list[ColumnElement[bool]] = []
        if self.tier:
            found.append(current_tier_of(Org.id) == self.tier)
        if self.state:
            is_active = Org.suspended_at.is_(None)
            found.append(is_active if self.state == "active" else ~is_active)
        return found


def list_orgs(
    session: Session, asked: OrgFilter, *, ids: Collection[str] | None = None, limit: int = ORGS_MAX
) -> list[OrgRow]:
    """The organisations that are asked for, or of these `ids`, newest first; a fixed number of queries."""
    where = asked.conditions if ids is None else [Org.id.in_(ids)]
    orgs = list_all_orgs(session, search=asked.search, where=where, limit=limit)
    tiers, names = current_tiers(session, [org.id for org in orgs]), tier_names(session)
    return [
        OrgRow(
            id=org.id,
            slug=org.slug,
            name=org.name,
            owner=org.owner_email or "",
            tier=names.get(tiers[org.id], tiers[org.id]),
            state="suspended" if org.suspended_at else "active",
            created_at=org.created_at,
        )
        for org in orgs
    ]


def count_orgs(session: Session, asked: OrgFilter) -> int:
    """How many there are, also those that the list does not show."""
    return count_all_orgs(session, search=asked.search, where=asked.conditions)


def get_org_page(session: Session, actor: Actor, slug: str) -> OrgPage:
    """Raises NotFound."""
    org = get_org_as_admin(session, actor, slug)
    assignments = list_assignments(session, org.id)
    return OrgPage(
        org=org,
        tier=assignments[0].tier,
        tiers=tier_names(session),
        owners=owners(session, org.id),
        live_keys=count_live(session, org.id, at=clock.now()),
        assignments=assignments,
        move=show_planned(session, org, find_planned_move(session, org.id)),
        overage=overage(session, org, assignments[0].tier),
        grants=show_grants(session, org),
        events=list_org_events(session, org_id=org.id),
    )


@dataclass(frozen=True)
class TierPage:
    """What the form to assign a tier needs. `beyond`: of each lower tier, by name, what it takes away."""

    org: Org
    current: str
    move: MoveShown | None
    token: str
    tiers: list[Tier]
    beyond: dict[str, tuple[str, ...]]
    notice: str


def get_tier_page(session: Session, actor: Actor, slug: str) -> TierPage:
    """Raises NotFound."""
    org = get_org_as_admin(session, actor, slug)
    standing, in_force = get_standing(session, org.id), policy(session, clock.timestamp())
    held, tiers = in_force.tiers[standing.assignment.tier], list_tiers(session)
    return TierPage(
        org=org,
        current=held.name,
        move=show_planned(session, org, standing.move),
        token=standing.token,
        tiers=tiers,
        beyond={
            tier.name: overage(session, org, tier.slug)
            for tier in tiers
            if is_downgrade(held, tier)
        },
        notice=duration(in_force.notice["tightening_seconds"]),
    )


def tier_names(session: Session) -> dict[str, str]:
    """Slug to name of every tier that was ever published, also of retired ones."""
    return {slug: tier.name for slug, tier in policy(session, clock.timestamp()).tiers.items()}
