"""Promotion by itself: to tiers of automatic entry, once everything that they publish as required is met."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from plimsoll.contract.fold import Policy
from plimsoll.contract.terms import Tier
from portal.accounts.models import SecondFactor, User
from portal.changelog import words
from portal.core import clock
from portal.core.actor import Actor
from portal.core.ids import first_id
from portal.journal.models import Event
from portal.orgs.models import Membership, Org, Role
from portal.tiers.commands import assign_tier
from portal.tiers.models import AssignmentKind, TierAssignment, TierMove
from portal.tiers.queries import get_standing
from portal.transparency.queries import policy
from portal.upgrades import policy as rules
from portal.upgrades.queries import get_facts
from portal.usage.queries import active_days_of, list_active_since

# So many acts in a minute concern so many that a look at all is cheaper.
EVENTS_MAX = 2000


@dataclass(frozen=True)
class Target:
    """A tier that organisations on the tiers `below` may be promoted to."""

    tier: Tier
    below: tuple[str, ...]

    @property
    def age(self) -> timedelta:
        """How old an organisation must be."""
        return timedelta(days=int(self.tier.requirements.get("account_age_days", 0)))


def list_targets(in_force: Policy) -> list[Target]:
    """The tiers that anybody can be promoted to as things are published; the highest first."""
    return [
        target
        for tier in reversed(in_force.tiers_by_rank())
        if tier.entry == "automatic"
        and in_force.has_offers(tier.slug)
        and rules.can_be_measured(tier)
        and (target := Target(tier, _below(in_force, tier))).below
    ]


def _below(in_force: Policy, tier: Tier) -> tuple[str, ...]:
    return tuple(sorted(each.slug for each in in_force.tiers.values() if each.rank < tier.rank))


def find_candidates(
    session: Session, targets: Collection[Target], now: datetime, *, among: ColumnElement[bool]
) -> list[str]:
    """Ids of the organisations that meet what a target requires: one query, whatever their number."""
    if not targets:
        return []
    current, later = aliased(TierAssignment), aliased(TierAssignment)
    query = (
        select(Org.id)
        .join(current, current.org_id == Org.id)
        .where(
            ~exists().where(later.org_id == Org.id, later.number > current.number),
            # What a person decided stays until a person decides again.
            current.kind != AssignmentKind.MANUAL,
            ~exists().where(
                TierMove.org_id == Org.id,
                TierMove.cancelled_at.is_(None),
                TierMove.done_at.is_(None),
            ),
            Org.suspended_at.is_(None),
            or_(*(and_(current.tier.in_(each.below), *_met(each, now)) for each in targets)),
            among,
        )
        .order_by(Org.id)
    )
    return list(session.scalars(query))


def _met(target: Target, now: datetime) -> list[ColumnElement[bool]]:
    """What the target requires, as conditions on an organisation; `find_promotion` has the last word."""
    owner = (Membership.org_id == Org.id, Membership.role == Role.OWNER)
    wanted, conditions = target.tier.requirements, [Org.created_at <= now - target.age]
    if wanted.get("email_confirmed"):
        confirmed = (User.id == Membership.user_id, User.email_confirmed_at.is_not(None))
        conditions.append(exists().where(*owner, *confirmed))
    if wanted.get("second_factor"):
        factor = exists().where(SecondFactor.user_id == Membership.user_id)
        conditions.append(~exists().where(*owner, ~factor))
    if wanted.get("active_days"):
        conditions.append(active_days_of(Org.id) >= wanted["active_days"])
    return conditions


def find_touched(
    session: Session, targets: Collection[Target], span: tuple[datetime, datetime]
) -> set[str] | None:
    """Ids of the organisations that anything happened to in a span of time; None where it is too much.

    Everything that requirements ask about leaves a trace: an act an entry in the journal, of the
    organisation or of a person in it; use the instant when a day's first was reported; time alone
    only the age.
    """
    since, now = span
    rows = session.execute(
        select(Event.org_id, Event.actor_id, Event.subject_id)
        .where(Event.id >= first_id("evt", since))
        .limit(EVENTS_MAX + 1)
    ).all()
    if len(rows) > EVENTS_MAX:
        return None
    found = {row.org_id for row in rows if row.org_id}
    people = {each for row in rows for each in (row.actor_id, row.subject_id) if each}
    found |= set(session.scalars(select(Membership.org_id).where(Membership.user_id.in_(people))))
    ages = (
        and_(Org.created_at > since - each.age, Org.created_at <= now - each.age)
        for each in targets
    )
    found |= list_active_since(session, since)
    return found | set(session.scalars(select(Org.id).where(or_(*ages))))


def find_promotion(session: Session, org: Org) -> Tier | None:
    """The highest tier that the organisation is to be promoted to now; None where there is none."""
    standing, now = get_standing(session, org.id), clock.now()
    if standing.assignment.kind is AssignmentKind.MANUAL or standing.move or org.suspended_at:
        return None
    facts, held = get_facts(session, org), standing.assignment.tier
    for target in list_targets(policy(session, clock.timestamp())):
        if held in target.below and all(
            line.is_met for line in rules.check(target.tier.requirements, facts, now)
        ):
            return target.tier
    return None


def promote(session: Session, *, actor: Actor, org: Org) -> Tier | None:
    """Promote an organisation, locked by the caller, to the highest tier whose requirements it meets.

    Returns the tier, or None where nothing is to be done: somebody else may have been here first.
    """
    tier = find_promotion(session, org)
    if tier is not None:
        required = words.requirements(tier.requirements)
        reason = f"Everything that {tier.name} requires is met: {required}."
        kind = AssignmentKind.AUTOMATIC
        assign_tier(session, actor=actor, org=org, tier=tier.slug, reason=reason, kind=kind)
    return tier
