"""What pages show of tiers, moves and grants: rows turned into words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from plimsoll.contract import adjustments
from plimsoll.contract.fold import Policy
from portal.core import clock
from portal.orgs.models import Org
from portal.tiers import words
from portal.tiers.models import Grant, GrantState, TierMove
from portal.tiers.policy import is_downgrade
from portal.tiers.queries import current_assignment, list_assignments, list_grants, open_grants
from portal.transparency.queries import policy


@dataclass(frozen=True)
class GrantShown:
    """A grant as people read it.

    `allows`: "Opus 5: 2,000 requests per minute"; `instead_of`: what the tier itself allows;
    `no_effect`: why it raises nothing now, while it is planned or in force.
    """

    id: str
    allows: str
    instead_of: str | None
    no_effect: str | None
    state: GrantState
    starts_at: datetime
    ends_at: datetime
    reason: str
    ended_at: datetime | None
    ended_reason: str | None

    @property
    def is_open(self) -> bool:
        return self.state in {GrantState.PLANNED, GrantState.IN_FORCE}


@dataclass(frozen=True)
class MoveShown:
    """A planned move as people read it; `takes_away` a sentence for each thing that falls away."""

    id: str
    tier: str
    effective_at: datetime
    placed_at: datetime
    reason: str
    for_abuse: bool
    is_late: bool
    takes_away: tuple[str, ...]


def show_grants(session: Session, org: Org) -> list[GrantShown]:
    """The grants of an organisation, those that count first."""
    shown = _show(session, org, list_grants(session, org.id))
    return sorted(shown, key=lambda each: not each.is_open)


def show_grant(session: Session, org: Org, row: Grant) -> GrantShown:
    """One grant of an organisation, as things stand."""
    (shown,) = _show(session, org, [row])
    return shown


def _show(session: Session, org: Org, rows: Iterable[Grant]) -> list[GrantShown]:
    in_force, tier = policy(session, clock.timestamp()), current_assignment(session, org.id).tier
    now = clock.now()
    beside = open_grants(session, org.id, now)
    return [_grant(in_force, tier, row, at=now, beside=beside) for row in rows]


def _grant(
    in_force: Policy,
    tier: str,
    grant: Grant,
    *,
    at: datetime,
    beside: Iterable[adjustments.Grant],
) -> GrantShown:
    given, state = grant.raises, grant.state(at)
    held, seconds = in_force.tiers[tier], int(at.timestamp())
    no_effect = words.without_effect(in_force, held, given, beside=beside, at=seconds)
    is_open = state in {GrantState.PLANNED, GrantState.IN_FORCE}
    return GrantShown(
        id=grant.id,
        allows=words.granted(in_force, given),
        instead_of=None if no_effect else words.raised_from(in_force, tier, given),
        no_effect=no_effect if is_open else None,
        state=state,
        starts_at=grant.starts_at,
        ends_at=grant.ends_at,
        reason=grant.reason,
        ended_at=grant.ended_at if state is GrantState.ENDED else None,
        ended_reason=grant.ended_reason,
    )


def show_move(session: Session, move: TierMove) -> MoveShown:
    """A planned move in words, with what it takes away as things stand."""
    in_force = policy(session, clock.timestamp())
    before = current_assignment(session, move.org_id).tier
    return MoveShown(
        id=move.id,
        tier=in_force.tiers[move.tier].name,
        effective_at=move.effective_at,
        placed_at=move.placed_at,
        reason=move.reason,
        for_abuse=move.for_abuse,
        is_late=move.effective_at <= clock.now(),
        takes_away=words.losses(in_force, before, move.tier),
    )


def is_lower(session: Session, before: str, after: str) -> bool:
    """Whether a move between two published tiers leads down."""
    tiers = policy(session, clock.timestamp()).tiers
    return is_downgrade(tiers[before], tiers[after])


def taken_by_last_step(session: Session, org_id: str) -> tuple[str, ...]:
    """What the last step of an organisation took from it, where it led down."""
    steps = list_assignments(session, org_id)
    if len(steps) < 2:  # noqa: PLR2004 -- a step has a tier before it
        return ()
    in_force = policy(session, clock.timestamp())
    return words.losses(in_force, steps[1].tier, steps[0].tier)
