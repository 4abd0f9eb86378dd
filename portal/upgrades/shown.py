"""What pages show of tiers and requests: rows turned into words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from plimsoll.contract.fold import Policy
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.terms import Tier
from portal.changelog import words
from portal.changelog.table import LimitsTable, make_table
from portal.core import clock
from portal.core.actor import Actor
from portal.core.durations import lasting
from portal.keys.overage import overage, show_planned
from portal.orgs.models import Org
from portal.orgs.policy import Permission, may
from portal.orgs.queries import role_of
from portal.tiers.models import AssignmentKind, TierAssignment
from portal.tiers.queries import find_planned_move, list_assignments
from portal.tiers.shown import GrantShown, MoveShown, show_grants
from portal.tiers.words import model_name
from portal.transparency.queries import policy, signed_log
from portal.upgrades import policy as rules
from portal.upgrades.models import State, UpgradeRequest
from portal.upgrades.policy import Act, Requirement
from portal.upgrades.queries import (
    Promptness,
    get_facts,
    get_promptness,
    list_messages,
    list_requests,
    names_of,
)


@dataclass(frozen=True)
class Higher:
    """A tier above the one held. `open_request`: of this organisation, where one is open."""

    tier: Tier
    how: str
    checklist: list[Requirement]
    open_request: UpgradeRequest | None

    @property
    def met(self) -> int:
        return sum(line.is_met for line in self.checklist)

    @property
    def is_met(self) -> bool:
        return self.met == len(self.checklist)


@dataclass(frozen=True)
class TierPage:
    """All that the page of an organisation's tier says. `names`: slug to name of every tier ever published."""

    org: Org
    tier: Tier
    step: TierAssignment
    steps: list[TierAssignment]
    names: Mapping[str, str]
    higher: list[Higher]
    move: MoveShown | None
    overage: tuple[str, ...]
    grants: list[GrantShown]
    requests: list[UpgradeRequest]
    table: LimitsTable
    may_request: bool

    @property
    def is_decided(self) -> bool:
        """Whether a person put the organisation here: then nothing promotes it by itself."""
        return self.step.kind is AssignmentKind.MANUAL


def get_tier_page(session: Session, actor: Actor, org: Org) -> TierPage:
    """The page of an organisation that the actor is a member of."""
    log, now = signed_log(session), clock.timestamp()
    in_force, steps = log.policy(now), list_assignments(session, org.id)
    held, requests = in_force.tiers[steps[0].tier], list_requests(session, org.id)
    return TierPage(
        org=org,
        tier=held,
        step=steps[0],
        steps=steps,
        names=tier_names(in_force),
        higher=_higher(session, in_force, org=org, held=held),
        move=show_planned(session, org, find_planned_move(session, org.id)),
        overage=overage(session, org, held.slug),
        grants=show_grants(session, org),
        requests=requests,
        table=make_table(log, now, held={held.slug: (org.name,)}),
        may_request=may(role_of(session, actor, org.id), Permission.REQUEST_UPGRADE),
    )


def _higher(session: Session, in_force: Policy, *, org: Org, held: Tier) -> list[Higher]:
    facts, now = get_facts(session, org), clock.now()
    is_open = {each.tier: each for each in list_requests(session, org.id) if each.is_open}
    return [
        Higher(
            tier=tier,
            how=words.entry(tier.entry),
            checklist=rules.check(tier.requirements, facts, now),
            open_request=is_open.get(tier.slug),
        )
        for tier in in_force.tiers_by_rank()
        if tier.rank > held.rank and in_force.has_offers(tier.slug)
    ]


def tier_names(in_force: Policy) -> dict[str, str]:
    """Slug to name of every tier that was ever published."""
    return {slug: tier.name for slug, tier in in_force.tiers.items()}


# ---- one request ----


@dataclass(frozen=True)
class Expected:
    """One line of the use expected: "Opus 5", "Requests per minute", "3,000", and what the tier allows."""

    model: str
    title: str
    amount: str
    allowed: str


@dataclass(frozen=True)
class MessageShown:
    text: str
    who: str
    is_staff: bool
    at: datetime


@dataclass(frozen=True)
class RequestShown:
    """A request as the organisation and the staff read it. `acts`: what may be done with it now."""

    id: str
    tier: str
    state: State
    purpose: str
    expected: list[Expected]
    wanted_on: date
    contact: str
    sent_by: str
    created_at: datetime
    due_at: datetime
    steps: int
    moved_at: datetime
    closed_at: datetime | None
    reason: str | None
    messages: list[MessageShown]
    acts: frozenset[Act]

    @property
    def age(self) -> str:
        """How long it has been open, or was."""
        return lasting((self.closed_at or clock.now()) - self.created_at)

    @property
    def is_late(self) -> bool:
        return (self.closed_at or clock.now()) > self.due_at

    @property
    def waits(self) -> str:
        """Whom it waits for while it is open, as the staff reads it."""
        return rules.WAITS[self.state]

    @property
    def waits_for_org(self) -> bool:
        return self.state is State.QUESTION_ASKED

    def allows(self, act: str) -> bool:
        return Act(act) in self.acts


def show_request(session: Session, request: UpgradeRequest, *, to_staff: bool) -> RequestShown:
    """A request with its messages; the organisation reads "our staff" where the staff reads who."""
    in_force, messages = policy(session, clock.timestamp()), list_messages(session, request.id)
    names = names_of(session, [request.created_by, *(each.author_id for each in messages)])
    return RequestShown(
        id=request.id,
        tier=in_force.tiers[request.tier].name,
        state=request.state,
        purpose=request.purpose,
        expected=[_expected(in_force, request.tier, each) for each in request.expected],
        wanted_on=request.wanted_on,
        contact=request.contact,
        sent_by=names[request.created_by],
        created_at=request.created_at,
        due_at=rules.due_at(request.created_at),
        steps=request.steps,
        moved_at=request.moved_at,
        closed_at=request.closed_at,
        reason=request.reason,
        messages=[
            MessageShown(
                text=each.text,
                who="Our staff" if each.is_staff and not to_staff else names[each.author_id],
                is_staff=each.is_staff,
                at=each.created_at,
            )
            for each in messages
        ],
        acts=frozenset(act for act in Act if rules.may(act, request.state)),
    )


def _expected(in_force: Policy, tier: str, line: Mapping[str, Any]) -> Expected:
    cell = Cell(tier, line["model"], line["metric"], Kind(line["kind"]), line["period"])
    held = in_force.limits.get(cell)
    return Expected(
        model=model_name(in_force, cell.model),
        title=words.capital(words.measure(cell)),
        amount=words.amount(cell.metric, line["amount"]),
        allowed=words.amount(cell.metric, held.limit.quota) if held else "no limit",
    )


# ---- the public page ----


@dataclass(frozen=True)
class PublicTier:
    """A tier, how it is entered, and what it requires, a sentence each."""

    tier: Tier
    how: str
    requires: list[str]
    waits_for_data: bool


@dataclass(frozen=True)
class UpgradesPage:
    tiers: list[PublicTier]
    prompt: Promptness
    target: str = rules.TARGET

    @property
    def median(self) -> str | None:
        return None if self.prompt.median is None else lasting(self.prompt.median)


def get_upgrades_page(session: Session) -> UpgradesPage:
    """What each tier requires, and how long decisions took."""
    in_force = policy(session, clock.timestamp())
    return UpgradesPage(
        tiers=[
            PublicTier(
                tier=tier,
                how=words.entry(tier.entry),
                requires=[
                    words.capital(text)
                    for name, wanted in tier.requirements.items()
                    if (text := words.requirement(name, wanted))
                ],
                waits_for_data=not rules.can_be_measured(tier),
            )
            for tier in in_force.tiers_by_rank()
            if in_force.has_offers(tier.slug)
        ],
        prompt=get_promptness(session, clock.now()),
    )
