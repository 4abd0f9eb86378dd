"""Grants: one limit raised for one organisation and a time."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from plimsoll.contract import adjustments
from plimsoll.contract.limits import InvalidField
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Invalid
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.orgs.models import Org
from portal.tiers import mails, words
from portal.tiers.errors import GrantOver, WithoutEffect
from portal.tiers.models import Grant, GrantState
from portal.tiers.moves import tell_owners
from portal.tiers.policy import LATE, next_reminder
from portal.tiers.queries import current_assignment, name_of, open_grants
from portal.tiers.words import Identity
from portal.transparency.queries import policy


@dataclass(frozen=True, kw_only=True)
class GrantRequest:
    """What somebody grants. `starts_at` None = now; `burst` None = the quota.

    `anyway`: also where it raises nothing as things stand.
    """

    limit: Identity
    quota: int
    burst: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime
    reason: str
    anyway: bool = False


def grant(session: Session, *, actor: Actor, org: Org, request: GrantRequest) -> Grant:
    """Raise one limit of an organisation, locked by the caller, from a start to an end.

    Raises Invalid (limit, quota, burst, starts_at, ends_at), WithoutEffect.
    """
    now = clock.now().replace(microsecond=0)
    starts_at = _starts_at(request, now)
    if request.ends_at <= starts_at:
        raise Invalid("The end must come after the start and lie ahead.", field="ends_at")
    given = _given(new_id("grt"), request, starts_at=starts_at)
    no_effect = _without_effect(session, org, given)
    if no_effect and not request.anyway:
        raise WithoutEffect(f"As things stand this raises nothing. {no_effect}", field="quota")
    row = Grant(
        id=given.id,
        org_id=org.id,
        **request.limit._asdict() | {"period": _text(given)},
        quota=given.quota,
        burst=given.burst,
        starts_at=starts_at,
        ends_at=request.ends_at,
        reason=request.reason,
        created_by=actor.user_id,
        remind_at=next_reminder(request.ends_at, after=max(now, starts_at)),
    )
    session.add(row)
    _journal(session, actor, row, tag="org:grant:given", reason=row.reason)
    shown = _shown(session, org, row)
    tell_owners(session, org, lambda to: mails.granted(to=to, grant=shown))
    return row


def _starts_at(request: GrantRequest, now: datetime) -> datetime:
    wanted = request.starts_at
    if wanted is None or now - LATE <= wanted <= now:
        return now
    if wanted < now:
        raise Invalid("This instant is past. Leave it empty for now.", field="starts_at")
    return wanted


def _given(grant_id: str, request: GrantRequest, *, starts_at: datetime) -> adjustments.Grant:
    """The grant as gateways will read it: their own parser says whether they can (LIMITS 1)."""
    if request.quota < 1:
        raise Invalid("A grant raises: give a number from 1.", field="quota")
    fields = {
        **request.limit._asdict(),
        "id": grant_id,
        "quota": request.quota,
        "burst": request.burst,
        "from": int(starts_at.timestamp()),
        "until": int(request.ends_at.timestamp()),
    }
    try:
        return adjustments.Grant.parse(fields, "grant")
    except InvalidField as error:
        field = error.path.rpartition(".")[2]
        known = field if field in {"quota", "burst"} else "limit"
        raise Invalid(f"This number {error.text}.", field=known) from error


def _text(given: adjustments.Grant) -> str | None:
    return None if given.period is None else str(given.period)


def end_grant(session: Session, *, actor: Actor, org: Org, row: Grant, reason: str) -> None:
    """End a grant early; the caller has locked it. Raises GrantOver."""
    now = clock.now()
    if row.state(now) not in {GrantState.PLANNED, GrantState.IN_FORCE}:
        raise GrantOver(_how_it_ended(session, row))
    row.ended_at, row.ended_by, row.ended_reason = now, actor.user_id, reason
    _journal(session, actor, row, tag="org:grant:ended", reason=reason)
    shown = _shown(session, org, row)
    tell_owners(session, org, lambda to: mails.grant_ended(to=to, grant=shown))


def _how_it_ended(session: Session, row: Grant) -> str:
    if row.ended_reason is None or row.ended_at is None:
        return f"This grant was over at {row.ends_at:%Y-%m-%d %H:%M} UTC."
    who = name_of(session, row.ended_by)
    return f"This grant was ended by {who} on {row.ended_at:%Y-%m-%d %H:%M:%S} UTC, before you."


def close_grant(session: Session, *, actor: Actor, row: Grant) -> None:
    """Take a grant whose end has passed off the record: gateways have let it go by themselves."""
    row.ended_at = row.ends_at
    _journal(session, actor, row, tag="org:grant:over")


def remind_of_grant(session: Session, *, org: Org, row: Grant) -> None:
    """Mail the owners that a grant ends soon, once for each reminder that is due."""
    due = row.remind_at
    assert due is not None  # noqa: S101 -- only what is due is reminded of
    row.remind_at = next_reminder(row.ends_at, after=clock.now())
    shown = _shown(session, org, row)
    event = f"{row.id}:{int(due.timestamp())}"
    tell_owners(session, org, lambda to: mails.grant_soon_over(to=to, grant=shown), event=event)


def _journal(session: Session, actor: Actor, row: Grant, *, tag: str, **details: str) -> None:
    details = {
        "limit": ".".join([row.model, row.metric, row.kind, row.period or "now"]),
        "quota": f"{row.quota:,}",
        "from": f"{row.starts_at:%Y-%m-%d %H:%M:%S} UTC",
        "until": f"{row.ends_at:%Y-%m-%d %H:%M:%S} UTC",
        **details,
    }
    record(session, actor, tag, org_id=row.org_id, subject_id=row.id, **details)


def _shown(session: Session, org: Org, row: Grant) -> mails.Granted:
    return mails.Granted(
        org=org.name,
        allows=words.granted(policy(session, clock.timestamp()), row.raises),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.ended_reason or row.reason,
        no_effect=_without_effect(session, org, row.raises),
    )


def _without_effect(session: Session, org: Org, given: adjustments.Grant) -> str | None:
    """Why a grant raises nothing on the tier held, beside the organisation's other grants."""
    in_force = policy(session, clock.timestamp())
    tier = in_force.tiers[current_assignment(session, org.id).tier]
    beside = open_grants(session, org.id, clock.now())
    return words.without_effect(in_force, tier, given, beside=beside, at=clock.timestamp())
