"""Moves from tier to tier: at once, or at a date by a job."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from plimsoll.contract.terms import Tier
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Invalid
from portal.core.ids import new_id
from portal.core.outbox import Message, queue_mail
from portal.journal.commands import record
from portal.orgs.models import Org
from portal.orgs.queries import owners
from portal.tiers import mails, words
from portal.tiers.errors import MoveAhead, MoveClosed, MovedMeanwhile, SameTier
from portal.tiers.models import AssignmentKind, TierAssignment, TierMove
from portal.tiers.policy import LATE, is_downgrade, must_give_notice, next_reminder
from portal.tiers.queries import Standing, get_standing, get_tier, list_moves, name_of
from portal.transparency.queries import policy, signed_log

REPLACED = "Another decision took its place."


@dataclass(frozen=True, kw_only=True)
class TierDecision:
    """What somebody decided about an organisation's tier.

    `effective_at` None = now. `for_abuse` lets a move down go without notice. `seen`: the token of
    the standing that the decision was made on. `batch`: the bulk act that it is part of.
    """

    tier: str
    reason: str
    kind: AssignmentKind = AssignmentKind.MANUAL
    effective_at: datetime | None = None
    for_abuse: bool = False
    seen: str | None = None
    batch: str | None = None


def decide_tier(
    session: Session, *, actor: Actor, org: Org, decision: TierDecision
) -> TierMove | None:
    """Move an organisation, locked by the caller, at once or at a date; returns the planned move.

    A planned move gives way to what is decided after it, but not to what happens by itself.
    Raises UnknownTier, TierOffersNothing, SameTier, NoticeTooShort, Invalid (effective_at),
    MovedMeanwhile, MoveAhead.
    """
    effective_at = judge(session, org, decision)
    standing = get_standing(session, org.id)
    if standing.move:
        _close(session, actor=actor, move=standing.move, reason=REPLACED)
        session.flush()  # the index allows one open move, and the next may follow at once
    if effective_at > clock.now():
        return _plan(session, (actor, org), decision=decision, replaced=standing.move)
    details = _details(decision)
    step = TierAssignment(
        tier=decision.tier,
        kind=decision.kind,
        reason=decision.reason,
        assigned_by=actor.user_id,
    )
    _take_step(session, (actor, org), standing=standing, step=step, details=details)
    return None


def judge(session: Session, org: Org, decision: TierDecision) -> datetime:
    """When a decision would take effect as things stand; raises what `decide_tier` would, and writes nothing."""
    standing, now = get_standing(session, org.id), clock.now()
    must_be_as_seen(session, org, standing, seen=decision.seen)
    tiers = _tiers(session, standing, decision.tier)
    effective_at = _effective_at(decision, now)
    if not decision.for_abuse:
        _must_give_notice(session, tiers, placed_at=now, effective_at=effective_at)
    if standing.move and decision.kind is AssignmentKind.AUTOMATIC:
        raise MoveAhead
    return effective_at


def must_be_as_seen(session: Session, org: Org, standing: Standing, *, seen: str | None) -> None:
    """Raises MovedMeanwhile, naming who, what and when, if the standing is not the one that was seen."""
    if seen is None or seen == standing.token:
        return
    raise MovedMeanwhile(
        _what_happened(session, org, standing, seen=seen) + " Nothing was changed now."
    )


def _what_happened(session: Session, org: Org, standing: Standing, *, seen: str) -> str:
    names = policy(session, clock.timestamp()).tiers
    latest = standing.assignment
    if seen.partition("-")[0] != str(latest.number):
        who, tier = name_of(session, latest.assigned_by), names[latest.tier].name
        return f"{org.name} was moved to {tier} by {who} on {_at(latest.assigned_at)}, before you."
    if standing.move is not None:
        move = standing.move
        who, tier = name_of(session, move.placed_by), names[move.tier].name
        return (
            f"A move of {org.name} to {tier} on {_at(move.effective_at)} was planned "
            f"by {who} on {_at(move.placed_at)}, before you."
        )
    closed = next((each for each in list_moves(session, org.id) if each.id in seen), None)
    if closed is None or closed.cancelled_at is None:
        return f"{org.name} does not stand as you saw it."
    who = name_of(session, closed.cancelled_by)
    return f"The planned move was cancelled by {who} on {_at(closed.cancelled_at)}, before you."


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _tiers(session: Session, standing: Standing, slug: str) -> tuple[Tier, Tier]:
    """The tier that the organisation holds, and the one that is chosen."""
    after = get_tier(session, slug)
    if standing.assignment.tier == after.slug:
        raise SameTier
    return policy(session, clock.timestamp()).tiers[standing.assignment.tier], after


def _effective_at(decision: TierDecision, now: datetime) -> datetime:
    wanted = decision.effective_at
    if wanted is None or now - LATE <= wanted <= now:
        return now
    if wanted < now:
        raise Invalid("This date is past. Leave it empty for now.", field="effective_at")
    return wanted


def _must_give_notice(
    session: Session, tiers: tuple[Tier, Tier], *, placed_at: datetime, effective_at: datetime
) -> None:
    """The promise that counts is the one in force when the move was placed."""
    promised = signed_log(session).policy(int(placed_at.timestamp())).notice
    must_give_notice(
        *tiers,
        placed_at=placed_at,
        effective_at=effective_at,
        seconds=promised["tightening_seconds"],
    )


def _details(decision: TierDecision) -> dict[str, Any]:
    details: dict[str, Any] = {"kind": decision.kind.value}
    if decision.for_abuse:
        details["for_abuse"] = True
    if decision.batch:
        details["batch"] = decision.batch
    return details


def _plan(
    session: Session,
    who: tuple[Actor, Org],
    *,
    decision: TierDecision,
    replaced: TierMove | None,
) -> TierMove:
    actor, org = who
    assert decision.effective_at is not None  # noqa: S101 -- only a date is planned
    now = clock.now()
    move = TierMove(
        id=new_id("mov"),
        org_id=org.id,
        tier=decision.tier,
        reason=decision.reason,
        for_abuse=decision.for_abuse,
        effective_at=decision.effective_at,
        placed_by=actor.user_id,
        remind_at=next_reminder(decision.effective_at, after=now),
    )
    session.add(move)
    details = {"tier": move.tier, "effective_at": _at(move.effective_at), "reason": move.reason}
    details |= _details(decision)
    record(session, actor, "org:tier:planned", org_id=org.id, subject_id=move.id, **details)
    instead = _instead(session, replaced)
    tell_of_move(session, org=org, move=move, message=partial(mails.planned, instead=instead))
    return move


def _take_step(
    session: Session,
    who: tuple[Actor, Org],
    *,
    standing: Standing,
    step: TierAssignment,
    details: dict[str, Any],
) -> None:
    actor, org = who
    before = standing.assignment
    step.org_id, step.number = org.id, before.number + 1
    session.add(step)
    details = {"tier": step.tier, "before": before.tier, "reason": step.reason, **details}
    record(session, actor, "org:tier:assigned", org_id=org.id, subject_id=org.id, **details)
    in_force = policy(session, clock.timestamp())
    tiers = in_force.tiers
    lost: tuple[str, ...] = ()
    if is_downgrade(tiers[before.tier], tiers[step.tier]):
        lost = words.losses(in_force, before.tier, step.tier)
    replaced = standing.move if standing.move and standing.move.cancelled_at else None
    moved = mails.Moved(
        org=org.name,
        tier=tiers[step.tier].name,
        reason=step.reason,
        lost=lost,
        for_abuse=bool(details.get("for_abuse")),
        instead=_instead(session, replaced),
    )
    tell_owners(session, org, lambda to: mails.moved(to=to, moved=moved))


def _instead(session: Session, replaced: TierMove | None) -> str | None:
    """That an earlier plan is off."""
    if replaced is None:
        return None
    tier = policy(session, clock.timestamp()).tiers[replaced.tier].name
    return f"The move to {tier} that was planned for {_at(replaced.effective_at)} is off."


def cancel_move(session: Session, *, actor: Actor, org: Org, move: TierMove, reason: str) -> None:
    """Cancel a planned move that the caller has locked, with its organisation. Raises MoveClosed."""
    if not move.is_open:
        raise MoveClosed(_how_it_closed(session, move))
    _close(session, actor=actor, move=move, reason=reason)
    tell_of_move(session, org=org, move=move, message=mails.cancelled)


def _how_it_closed(session: Session, move: TierMove) -> str:
    if move.cancelled_at is None:
        assert move.done_at is not None  # noqa: S101 -- a closed move was cancelled or done
        return f"This move was carried out on {_at(move.done_at)}."
    who = name_of(session, move.cancelled_by)
    return f"This move was cancelled by {who} on {_at(move.cancelled_at)}."


def _close(session: Session, *, actor: Actor, move: TierMove, reason: str) -> None:
    move.cancelled_at, move.cancelled_by, move.cancelled_reason = clock.now(), actor.user_id, reason
    details = {"tier": move.tier, "reason": reason}
    record(session, actor, "org:tier:cancelled", org_id=move.org_id, subject_id=move.id, **details)


def carry_out(session: Session, *, actor: Actor, org: Org, move: TierMove) -> None:
    """Make a planned move whose time has come; both rows are locked by the caller.

    A move that is not lawful any more, since tiers changed meanwhile, is cancelled and says why.
    """
    standing = get_standing(session, org.id)
    try:
        tiers = _tiers(session, standing, move.tier)
        if not move.for_abuse:
            _must_give_notice(
                session, tiers, placed_at=move.placed_at, effective_at=move.effective_at
            )
    except (Invalid, SameTier) as error:
        cancel_move(session, actor=actor, org=org, move=move, reason=error.public)
        return
    move.done_at = clock.now()
    details: dict[str, Any] = {"kind": AssignmentKind.MANUAL.value, "move": move.id}
    if move.for_abuse:
        details["for_abuse"] = True
    step = TierAssignment(
        tier=move.tier,
        kind=AssignmentKind.MANUAL,
        reason=move.reason,
        assigned_by=move.placed_by,
    )
    _take_step(session, (actor, org), standing=standing, step=step, details=details)


def remind_of_move(session: Session, *, org: Org, move: TierMove) -> None:
    """Mail the owners that a planned move is near, once for each reminder that is due."""
    due = move.remind_at
    assert due is not None  # noqa: S101 -- only what is due is reminded of
    move.remind_at = next_reminder(move.effective_at, after=clock.now())
    event = f"{move.id}:{int(due.timestamp())}"
    tell_of_move(session, org=org, move=move, message=mails.move_soon, event=event)


def tell_of_move(
    session: Session,
    *,
    org: Org,
    move: TierMove,
    message: Callable[..., Message],
    event: str | None = None,
) -> None:
    """Mail the owners about a planned move, with what it takes away as things stand."""
    in_force = policy(session, clock.timestamp())
    before = get_standing(session, org.id).assignment.tier
    ahead = mails.Ahead(
        org=org.name,
        before=in_force.tiers[before].name,
        tier=in_force.tiers[move.tier].name,
        effective_at=move.effective_at,
        reason=move.cancelled_reason or move.reason,
        lost=words.losses(in_force, before, move.tier),
        for_abuse=move.for_abuse,
    )
    tell_owners(session, org, lambda to: message(to=to, ahead=ahead), event=event)


def tell_owners(
    session: Session, org: Org, message: Callable[[str], Message], *, event: str | None = None
) -> None:
    """Mail each owner once about one event."""
    event = event or new_id("evt")
    for owner in owners(session, org.id):
        queue_mail(session, message(owner.email), event=event, person=owner.id)
