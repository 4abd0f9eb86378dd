"""Holds: named reasons for which a change takes no effect. The log sees the first, and the end of the last."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import acts, rules
from plimsoll.contract.history import ChangeInLog, History, Status
from portal.changelog.commands import (
    append_act,
    end_of,
    get_in_log,
    line,
    locked_history,
    near,
    record_act,
)
from portal.changelog.errors import AlreadyHeld, NotHeld, WaitsForDecision
from portal.changelog.models import ATTENTION, ChangeHold
from portal.core import clock
from portal.core.actor import Actor, Via
from portal.core.ids import new_id


def hold_change(session: Session, *, actor: Actor, number: int, name: str, reason: str) -> None:
    """Hold an announced change under a name of its own, until every name is released.

    Raises NotFound, Invalid, AlreadyHeld, WaitsForDecision, UnlawfulEntry.
    """
    _must_be_whose(name, actor)
    found, said = get_in_log(locked_history(session), number), line(reason)
    live, entry = list_holds(session, number), None
    # A change that fell with another is held in the log already, under no name.
    if found.status is not Status.HELD:
        entry = append_act(session, acts.Held(number, said))
        # What the log does not hold was lost with `log discard`.
        for lost in live:
            lost.lifted_at = clock.now()
        session.flush()  # the index knows one hold of a name that is not lifted
    elif any(hold.name == name for hold in live):
        raise AlreadyHeld
    hold = ChangeHold(
        id=new_id("hld"), number=number, name=name, reason=said, placed_by=actor.user_id
    )
    session.add(hold)
    details = {"name": name, "reason": said}
    record_act(session, actor, "change:held", found=found, entry=entry, **details)


def release_change(
    session: Session,
    *,
    actor: Actor,
    number: int,
    name: str,
    effective_at: int | None = None,
) -> None:
    """Lift the hold under this name; with the last one, the change is released.

    `effective_at` None: at the instant it was announced for, or the first lawful one after it.
    A change that was held along with another has no hold of its own and is released at once.
    Raises NotFound, NotHeld, WaitsForDecision, UnlawfulEntry with the earliest lawful instant.
    """
    _must_be_whose(name, actor)
    log, at = locked_history(session), clock.timestamp()
    found, live = get_in_log(log, number), list_holds(session, number)
    lifted = next((hold for hold in live if hold.name == name), None)
    if found.status is not Status.HELD or (live and lifted is None):
        raise NotHeld
    if lifted is not None:
        lifted.lifted_at = clock.now()
    entry, left = None, [hold.name for hold in live if hold is not lifted]
    if not left:
        start = near(effective_at, at=at) if effective_at is not None else None
        released = release_of(log, found, at=at) if start is None else _released(found, start)
        entry = append_act(session, released, at=at)
    details = {"name": name, "left": left}
    record_act(session, actor, "change:released", found=found, entry=entry, **details)


def _must_be_whose(name: str, actor: Actor) -> None:
    if name == ATTENTION and actor.via is not Via.JOB:
        raise WaitsForDecision


def list_holds(session: Session, number: int) -> list[ChangeHold]:
    """The holds of a change that are not lifted, oldest first."""
    query = select(ChangeHold).where(ChangeHold.number == number, ChangeHold.lifted_at.is_(None))
    return list(session.scalars(query.order_by(ChangeHold.placed_at, ChangeHold.id)))


def release_of(log: History, found: ChangeInLog, *, at: int) -> acts.Released:
    """The release of a held change at the instant it was announced for, else the first lawful one."""
    released = _released(found, max(found.effective_at, at))
    try:
        rules.check_next(
            log,
            {"at": at, "kind": released.kind, "body": released.to_wire(), "seq": log.size},
            at,
        )
    except rules.RuleBroken as error:
        if error.earliest is not None:
            return _released(found, error.earliest)
    return released


def _released(found: ChangeInLog, start: int) -> acts.Released:
    return acts.Released(found.number, start, end_of(found, start))
