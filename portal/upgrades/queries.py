from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plimsoll.contract.fold import Policy
from plimsoll.contract.limits import ALL_MODELS, Cell
from plimsoll.contract.terms import Tier
from portal.accounts.models import SecondFactor, User
from portal.changelog import words
from portal.changelog.table import page_order
from portal.core import clock
from portal.core.actor import Actor
from portal.core.durations import median_of
from portal.core.errors import NotFound
from portal.orgs.models import Membership, Org, Role
from portal.tiers.queries import current_assignment, get_tier
from portal.tiers.words import ALL_MODELS_TEXT
from portal.transparency.queries import policy
from portal.upgrades import policy as rules
from portal.upgrades.errors import NotByRequest
from portal.upgrades.models import State, UpgradeMessage, UpgradeRequest
from portal.upgrades.policy import Facts, Requirement
from portal.usage.queries import active_days

# ---- requirements ----


def get_facts(session: Session, org: Org) -> Facts:
    """What an organisation's requirements are measured against.

    The age is the organisation's own: people come and go, also owners, and a tier is the
    organisation's. One owner with a confirmed address is enough (EXACT 11); a second factor protects
    only where every owner has one.
    """
    owners, confirmed, factors = session.execute(
        select(func.count(), func.count(User.email_confirmed_at), func.count(SecondFactor.user_id))
        .select_from(Membership)
        .join(User, User.id == Membership.user_id)
        .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
        .where(Membership.org_id == org.id, Membership.role == Role.OWNER)
    ).one()
    return Facts(
        created_at=org.created_at,
        is_confirmed=confirmed > 0,
        owners=owners,
        owners_with_factor=factors,
        active_days=active_days(session, org.id),
    )


def checklist(session: Session, org: Org, tier: Tier) -> list[Requirement]:
    """What a tier requires, as published now, and how far the organisation is."""
    return rules.check(tier.requirements, get_facts(session, org), clock.now())


# ---- requests ----


def get_request(
    session: Session, org: Org, *, request_id: str, for_update: bool = False
) -> UpgradeRequest:
    """A request of an organisation that the caller may see. Raises NotFound."""
    query = select(UpgradeRequest).where(
        UpgradeRequest.id == request_id, UpgradeRequest.org_id == org.id
    )
    found = session.scalar(query.with_for_update() if for_update else query)
    if found is None:
        raise NotFound
    return found


def get_request_as_admin(
    session: Session, actor: Actor, request_id: str, *, for_update: bool = False
) -> tuple[Org, UpgradeRequest]:
    """Any request with its organisation, for the provider's staff. Raises NotFound."""
    org_id = session.scalar(select(UpgradeRequest.org_id).where(UpgradeRequest.id == request_id))
    if org_id is None or not actor.is_admin:
        raise NotFound
    # The organisation first, as everywhere, so that two acts never wait for each other.
    org = session.get_one(Org, org_id, with_for_update=for_update or None)
    return org, get_request(session, org, request_id=request_id, for_update=for_update)


def list_requests(session: Session, org_id: str) -> list[UpgradeRequest]:
    """An organisation's requests, newest first."""
    return list(
        session.scalars(
            select(UpgradeRequest)
            .where(UpgradeRequest.org_id == org_id)
            .order_by(UpgradeRequest.created_at.desc(), UpgradeRequest.id.desc())
        )
    )


def find_open_request(session: Session, org: Org, *, tier: str) -> UpgradeRequest | None:
    """The request of an organisation for a tier that is not closed; there is at most one."""
    return session.scalars(
        select(UpgradeRequest).where(
            UpgradeRequest.org_id == org.id,
            UpgradeRequest.tier == tier,
            UpgradeRequest.closed_at.is_(None),
        )
    ).one_or_none()


def list_messages(session: Session, request_id: str) -> list[UpgradeMessage]:
    """The questions and answers of a request, in order."""
    return list(
        session.scalars(
            select(UpgradeMessage)
            .where(UpgradeMessage.request_id == request_id)
            .order_by(UpgradeMessage.created_at, UpgradeMessage.id)
        )
    )


def get_requestable(session: Session, org: Org, slug: str) -> Tier:
    """A tier that the organisation may request as things stand.

    Raises UnknownTier, TierOffersNothing, NotByRequest.
    """
    tier = get_tier(session, slug)
    if tier.entry != "request":
        raise NotByRequest(f"{tier.name} is not entered on request: {words.entry(tier.entry)}.")
    must_lead_up(session, org, tier)
    return tier


def must_lead_up(session: Session, org: Org, tier: Tier) -> None:
    """Raises NotByRequest where the organisation is on the tier, or on a higher one, already."""
    tiers = policy(session, clock.timestamp()).tiers
    held = tiers[current_assignment(session, org.id).tier]
    if held.rank >= tier.rank:
        raise NotByRequest(f"{org.name} is on {held.name} already, which is no lower.")


# ---- what a request expects to use ----


@dataclass(frozen=True)
class Line:
    """A limit of the requested tier: what it allows there, and on the tier held now."""

    cell: Cell
    model: str
    title: str
    allowed: str
    held: str | None

    @property
    def name(self) -> str:
        """The name of its form field; limits are looked up by it, never parsed from it."""
        cell = self.cell
        return f"use:{cell.model}:{cell.metric}:{cell.kind}:{cell.period or 'now'}"

    @property
    def is_money(self) -> bool:
        return self.cell.metric == "spend_microusd"


def list_lines(session: Session, org: Org, tier: Tier) -> list[Line]:
    """The limits of a tier about which a request may say what it expects."""
    in_force = policy(session, clock.timestamp())
    held = current_assignment(session, org.id).tier
    cells = [
        cell
        for cell in in_force.limits
        if cell.tier == tier.slug
        and (cell.model == ALL_MODELS or (tier.slug, cell.model) in in_force.offers)
    ]
    return [_line(in_force, cell, held=held) for cell in sorted(cells, key=page_order)]


def _line(in_force: Policy, cell: Cell, *, held: str) -> Line:
    def allowed(of: Cell) -> str | None:
        found = in_force.limits.get(of)
        return None if found is None else words.amount(of.metric, found.limit.quota)

    shared = cell.model == ALL_MODELS
    return Line(
        cell=cell,
        model=ALL_MODELS_TEXT if shared else in_force.models[cell.model].name,
        title=words.capital(words.measure(cell)),
        allowed=allowed(cell) or "",
        held=allowed(replace(cell, tier=held)),
    )


# ---- how long decisions take ----


@dataclass(frozen=True)
class Promptness:
    """How many requests were decided in the last 90 days, and the median time that it took."""

    decided: int
    median: timedelta | None


def get_promptness(session: Session, now: datetime) -> Promptness:
    """From when a request was sent until it was approved or declined; withdrawn ones are left out."""
    times = session.execute(
        select(UpgradeRequest.created_at, UpgradeRequest.closed_at).where(
            UpgradeRequest.closed_at > now - rules.MEDIAN_OVER,
            UpgradeRequest.state.in_([State.APPROVED, State.DECLINED]),
        )
    )
    took = [closed - created for created, closed in times if closed is not None]
    return Promptness(len(took), median_of(took))


def names_of(session: Session, user_ids: Iterable[str | None]) -> dict[str | None, str]:
    """The addresses of people, for pages of the staff; in one query."""
    ids = [each for each in user_ids if each]
    rows = session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return {user_id: email for user_id, email in rows}  # noqa: C416 -- a row is no pair to mypy
