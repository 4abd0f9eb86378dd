from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core import clock
from portal.core.actor import Actor
from portal.journal.models import Event
from portal.journal.queries import list_org_events
from portal.keys.queries import count_live
from portal.orgs.models import Org
from portal.orgs.queries import get_org_as_admin, list_all_orgs, owners
from portal.tiers.models import TierAssignment
from portal.tiers.queries import current_tiers, list_assignments
from portal.transparency.queries import policy

ORGS_MAX = 200


@dataclass(frozen=True)
class OrgRow:
    """One line of the list of organisations."""

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
    events: list[Event]

    @property
    def state(self) -> str:
        return "suspended" if self.org.suspended_at else "active"


def list_orgs(session: Session, *, search: str) -> list[OrgRow]:
    """Organisations, newest first, at most ORGS_MAX; a fixed number of queries."""
    orgs = list_all_orgs(session, search=search, limit=ORGS_MAX)
    tiers, names = current_tiers(session, [org.id for org in orgs]), tier_names(session)
    return [
        OrgRow(
            slug=org.slug,
            name=org.name,
            owner=org.owner_email or "",
            tier=names.get(tiers[org.id], tiers[org.id]),
            state="suspended" if org.suspended_at else "active",
            created_at=org.created_at,
        )
        for org in orgs
    ]


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
        events=list_org_events(session, org_id=org.id),
    )


def tier_names(session: Session) -> dict[str, str]:
    """Slug to name of every tier that was ever published, also of retired ones."""
    return {slug: tier.name for slug, tier in policy(session, clock.timestamp()).tiers.items()}
