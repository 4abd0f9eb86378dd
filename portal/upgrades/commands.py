"""Requests for tiers that are entered on request: sent, taken up, asked about, answered, decided.

Every act is handed the request, locked with its organisation, and takes one step in its table of
states (policy.STEPS). `seen`: the number of steps that the decision was made on.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.ids import new_id
from portal.core.outbox import Message, queue_mail
from portal.journal.commands import record
from portal.orgs.models import Org
from portal.orgs.policy import Permission, must_be_allowed
from portal.orgs.queries import owners, role_of
from portal.tiers.commands import assign_tier
from portal.tiers.models import AssignmentKind
from portal.tiers.moves import must_be_as_seen
from portal.tiers.queries import get_standing, get_tier, name_of
from portal.transparency.queries import policy
from portal.upgrades import mails
from portal.upgrades.errors import NothingExpected, RequestMoved, RequestOpen, RequirementsOpen
from portal.upgrades.models import State, UpgradeMessage, UpgradeRequest
from portal.upgrades.policy import CAME_BY, Act, leads_to, may
from portal.upgrades.queries import checklist, get_requestable, must_lead_up


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an organisation asks for. `expected`: {model, metric, kind, period, amount} for each limit named."""

    tier: str
    purpose: str
    expected: tuple[dict[str, Any], ...]
    wanted_on: date
    contact: str


def submit_request(
    session: Session, *, actor: Actor, org: Org, asked: Asked, url: str
) -> UpgradeRequest:
    """Send a request for a tier; what the tier requires may still be open. The organisation is locked.

    Raises Forbidden, UnknownTier, TierOffersNothing, NotByRequest, RequestOpen, NothingExpected,
    Invalid (wanted_on).
    """
    must_be_allowed(role_of(session, actor, org.id), Permission.REQUEST_UPGRADE)
    tier, now = get_requestable(session, org, asked.tier), clock.now()
    if asked.wanted_on < now.date():
        raise Invalid("This day is past. Choose today or a later one.", field="wanted_on")
    if not any(each["amount"] for each in asked.expected):
        raise NothingExpected
    request = UpgradeRequest(
        id=new_id("upr"),
        org_id=org.id,
        tier=tier.slug,
        purpose=asked.purpose,
        expected=list(asked.expected),
        wanted_on=asked.wanted_on,
        contact=asked.contact,
        created_by=_person(actor),
        created_at=now,
        moved_by=actor.user_id,
        moved_at=now,
        state=State.SUBMITTED,
        steps=1,
    )
    session.add(request)
    try:
        session.flush()  # the index on open requests decides, also between two at once
    except IntegrityError as error:
        if violates(error, "uq_upgrade_requests_org_id_tier"):
            raise RequestOpen from error
        raise
    _journal(session, actor, request, verb="requested")
    about = mails.About(org=org.name, tier=tier.name, url=f"{url}/admin/requests/{request.id}")
    _tell_staff(session, lambda to: mails.arrived(to=to, about=about, purpose=request.purpose))
    return request


def take_up(
    session: Session, *, actor: Actor, org: Org, request: UpgradeRequest, seen: int
) -> None:
    """Begin the review: the organisation sees that somebody is at it. Raises RequestMoved."""
    _step(session, actor, (org, request), act=Act.TAKE_UP, seen=seen)
    _journal(session, actor, request, verb="taken_up")


def ask_question(  # noqa: PLR0913 -- who, what, on what, and where its page is
    session: Session,
    *,
    actor: Actor,
    org: Org,
    request: UpgradeRequest,
    seen: int,
    text: str,
    url: str,
) -> None:
    """Ask the organisation something; the request waits for the answer. Raises RequestMoved."""
    _step(session, actor, (org, request), act=Act.ASK, seen=seen)
    _say(session, actor, request, text=text, is_staff=True)
    _journal(session, actor, request, verb="asked")
    about = _about(session, org, request, url=url)
    _tell_org(session, (org, request), lambda to: mails.asked(to=to, about=about, text=text))


def answer(  # noqa: PLR0913 -- who, what, on what, and where its page is
    session: Session,
    *,
    actor: Actor,
    org: Org,
    request: UpgradeRequest,
    seen: int,
    text: str,
    url: str,
) -> None:
    """Answer the staff's question, the one that was seen. Raises Forbidden, RequestMoved."""
    must_be_allowed(role_of(session, actor, org.id), Permission.REQUEST_UPGRADE)
    _step(session, actor, (org, request), act=Act.ANSWER, seen=seen)
    _say(session, actor, request, text=text, is_staff=False)
    _journal(session, actor, request, verb="answered")
    about = _about(session, org, request, url=url, staff=True)
    _tell_staff(session, lambda to: mails.answered(to=to, about=about, text=text))


def withdraw(
    session: Session, *, actor: Actor, org: Org, request: UpgradeRequest, reason: str, url: str
) -> None:
    """Take a request back before it is decided. Raises Forbidden, RequestMoved."""
    must_be_allowed(role_of(session, actor, org.id), Permission.REQUEST_UPGRADE)
    _step(session, actor, (org, request), act=Act.WITHDRAW, seen=request.steps)
    _close(session, actor, request, reason=reason, verb="withdrawn")
    about = _about(session, org, request, url=url, staff=True)
    _tell_staff(session, lambda to: mails.withdrawn(to=to, about=about, reason=reason))


def approve(  # noqa: PLR0913 -- who, what, on what, and where its page is
    session: Session,
    *,
    actor: Actor,
    org: Org,
    request: UpgradeRequest,
    seen: int,
    stood: str | None = None,
    reason: str,
    url: str,
) -> None:
    """Approve a request and move the organisation to its tier, in one transaction.

    `stood`: the token of the standing that the decision was made on. Everything that the tier requires
    must be met by now, as published now; what no data tell counts as not met.
    Raises RequestMoved, MovedMeanwhile, RequirementsOpen, NotByRequest, UnknownTier, TierOffersNothing.
    """
    _step(session, actor, (org, request), act=Act.APPROVE, seen=seen)
    must_be_as_seen(session, org, get_standing(session, org.id), seen=stood)
    tier = get_tier(session, request.tier)
    must_lead_up(session, org, tier)
    missing = [each for each in checklist(session, org, tier) if not each.is_met]
    if missing:
        listed = "; ".join(each.sentence for each in missing)
        raise RequirementsOpen(
            f"What {tier.name} requires is not met yet: {listed}. "
            "The request stays open; ask, wait or decline."
        )
    _close(session, actor, request, reason=reason, verb="approved")
    kind = AssignmentKind.REQUEST
    assign_tier(session, actor=actor, org=org, tier=tier.slug, reason=reason, kind=kind)
    about = _about(session, org, request, url=url)
    # The owners read the same in the mail about the move itself.
    told = {owner.id for owner in owners(session, org.id)}
    _tell_org(
        session,
        (org, request),
        lambda to: mails.approved(to=to, about=about, reason=reason),
        but=told,
    )


def decline(  # noqa: PLR0913 -- who, what, on what, and where its page is
    session: Session,
    *,
    actor: Actor,
    org: Org,
    request: UpgradeRequest,
    seen: int,
    reason: str,
    url: str,
) -> None:
    """Decline a request, with a reason that the organisation reads. Raises RequestMoved."""
    _step(session, actor, (org, request), act=Act.DECLINE, seen=seen)
    _close(session, actor, request, reason=reason, verb="declined")
    about = _about(session, org, request, url=url)
    _tell_org(session, (org, request), lambda to: mails.declined(to=to, about=about, reason=reason))


# ---- what they share ----


def _step(
    session: Session, actor: Actor, on: tuple[Org, UpgradeRequest], *, act: Act, seen: int
) -> None:
    """Take one step in the table of states. Raises RequestMoved, naming who, what and when."""
    org, request = on
    if seen != request.steps or not may(act, request.state):
        who = name_of(session, request.moved_by)
        # Customers are not told the names of the staff.
        if actor.user_id and not actor.is_admin:
            who = _for_customers(session, org, request.moved_by)
        at = f"{request.moved_at:%Y-%m-%d %H:%M:%S} UTC"
        raise RequestMoved(
            f"This request {CAME_BY[request.state]} by {who} on {at}, before you. "
            "Nothing was changed now."
        )
    request.state = leads_to(act)
    request.steps += 1
    request.moved_by, request.moved_at = _person(actor), clock.now()


def _for_customers(session: Session, org: Org, user_id: str | None) -> str:
    try:
        role_of(session, Actor(user_id=user_id), org.id)
    except NotFound:
        return "our staff"
    return name_of(session, user_id)


def _person(actor: Actor) -> str:
    if actor.user_id is None:
        raise Conflict("Only a person can act on a request.")
    return actor.user_id


def _close(
    session: Session, actor: Actor, request: UpgradeRequest, *, reason: str, verb: str
) -> None:
    request.closed_at, request.reason = request.moved_at, reason
    _journal(session, actor, request, verb=verb, reason=reason)


def _say(
    session: Session, actor: Actor, request: UpgradeRequest, *, text: str, is_staff: bool
) -> None:
    session.add(
        UpgradeMessage(
            id=new_id("upm"),
            request_id=request.id,
            author_id=_person(actor),
            is_staff=is_staff,
            text=text,
        )
    )


def _journal(
    session: Session, actor: Actor, request: UpgradeRequest, *, verb: str, **details: str
) -> None:
    details = {"tier": request.tier, **details}
    tag = f"org:upgrade:{verb}"
    record(session, actor, tag, org_id=request.org_id, subject_id=request.id, **details)


def _about(
    session: Session, org: Org, request: UpgradeRequest, *, url: str, staff: bool = False
) -> mails.About:
    tier = policy(session, clock.timestamp()).tiers[request.tier].name
    place = "/admin" if staff else f"/orgs/{org.slug}"
    return mails.About(org=org.name, tier=tier, url=f"{url}{place}/requests/{request.id}")


def _tell_org(
    session: Session,
    on: tuple[Org, UpgradeRequest],
    message: Callable[[str], Message],
    *,
    but: Collection[str] = (),
) -> None:
    """Mail the owners and whoever sent the request, once each, except those who are told otherwise."""
    org, request = on
    people = {owner.id: owner.email for owner in owners(session, org.id)}
    people[request.created_by] = name_of(session, request.created_by)
    event = f"{request.id}:{request.steps}"
    for user_id, email in people.items():
        if user_id not in but:
            queue_mail(session, message(email), event=event, person=user_id)


def _tell_staff(session: Session, message: Callable[[str], Message]) -> None:
    event = new_id("evt")
    for admin in session.scalars(select(User).where(User.is_admin).order_by(User.id)):
        queue_mail(session, message(admin.email), event=event, person=admin.id)
