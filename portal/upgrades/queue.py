"""The staff's queue of requests, and all that they see of one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core import clock
from portal.core.actor import Actor
from portal.core.durations import lasting
from portal.keys.overage import show_planned
from portal.keys.queries import count_live
from portal.orgs.models import Org
from portal.orgs.queries import owners
from portal.tiers.queries import current_tiers, get_standing
from portal.tiers.shown import MoveShown
from portal.transparency.queries import policy
from portal.upgrades import policy as rules
from portal.upgrades.models import State, UpgradeRequest
from portal.upgrades.policy import Requirement
from portal.upgrades.queries import Promptness, checklist, get_promptness, get_request_as_admin
from portal.upgrades.shown import RequestShown, show_request, tier_names

CLOSED_MAX = 20


@dataclass(frozen=True)
class QueueRow:
    """One line of the queue. `held`: the tier that the organisation is on."""

    id: str
    org: str
    held: str
    tier: str
    state: State
    created_at: datetime
    closed_at: datetime | None
    due_at: datetime
    age: str
    is_late: bool

    @property
    def waits_for_org(self) -> bool:
        return self.state is State.QUESTION_ASKED


@dataclass(frozen=True)
class Queue:
    """Open requests, the one that waits longest first, and those closed last."""

    open: list[QueueRow]
    closed: list[QueueRow]
    prompt: Promptness

    @property
    def late(self) -> int:
        return sum(row.is_late for row in self.open)

    @property
    def median(self) -> str | None:
        return None if self.prompt.median is None else lasting(self.prompt.median)


def get_queue(session: Session) -> Queue:
    """A fixed number of queries, whatever the number of requests."""
    query = select(UpgradeRequest, Org.name).join(Org, Org.id == UpgradeRequest.org_id)
    waiting = query.where(UpgradeRequest.closed_at.is_(None)).order_by(
        UpgradeRequest.created_at, UpgradeRequest.id
    )
    closed = query.where(UpgradeRequest.closed_at.is_not(None)).order_by(
        UpgradeRequest.closed_at.desc()
    )
    return Queue(
        open=_rows(session, session.execute(waiting)),
        closed=_rows(session, session.execute(closed.limit(CLOSED_MAX))),
        prompt=get_promptness(session, clock.now()),
    )


def _rows(session: Session, found: Iterable[tuple[UpgradeRequest, str]]) -> list[QueueRow]:
    found, now = list(found), clock.now()
    held = current_tiers(session, [request.org_id for request, _ in found])
    names = tier_names(policy(session, clock.timestamp()))
    return [
        QueueRow(
            id=request.id,
            org=name,
            held=names[held[request.org_id]],
            tier=names[request.tier],
            state=request.state,
            created_at=request.created_at,
            closed_at=request.closed_at,
            due_at=(due := rules.due_at(request.created_at)),
            age=lasting((request.closed_at or now) - request.created_at),
            is_late=(request.closed_at or now) > due,
        )
        for request, name in found
    ]


@dataclass(frozen=True)
class StaffPage:
    """A request with the facts of its organisation."""

    org: Org
    request: RequestShown
    held: str
    since: datetime
    how: str
    org_age: str
    live_keys: int
    owners: list[User]
    checklist: list[Requirement]
    move: MoveShown | None
    token: str

    @property
    def seen(self) -> str:
        """What the forms carry, so that an act finds out whether somebody else was quicker."""
        return f"{self.request.steps}:{self.token}"


def get_staff_page(session: Session, actor: Actor, request_id: str) -> StaffPage:
    """Raises NotFound."""
    org, request = get_request_as_admin(session, actor, request_id)
    in_force, standing = policy(session, clock.timestamp()), get_standing(session, org.id)
    step = standing.assignment
    return StaffPage(
        org=org,
        request=show_request(session, request, to_staff=True),
        held=in_force.tiers[step.tier].name,
        since=step.assigned_at,
        how=step.kind.value,
        org_age=lasting(clock.now() - org.created_at),
        live_keys=count_live(session, org.id, at=clock.now()),
        owners=owners(session, org.id),
        checklist=checklist(session, org, in_force.tiers[request.tier]),
        move=show_planned(session, org, standing.move),
        token=standing.token,
    )
