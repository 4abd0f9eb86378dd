"""The promise that owners hear of a tightening: handed over to enough of them in time, or it waits (LIMITS 2)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plimsoll.contract.direction import takes_away
from plimsoll.contract.effect import OPENING_CHANGE, Effect, effect_of
from plimsoll.contract.history import ChangeInLog, History, State, Status
from portal.changelog.errors import AlreadyHeld, NotHeld
from portal.changelog.holds import hold_change, release_change
from portal.changelog.mails import event_of_entry
from portal.changelog.models import NOT_DELIVERED, ChangeHold
from portal.changelog.progress import advance, get_progress
from portal.config import Settings
from portal.core import clock
from portal.core.actor import JOB
from portal.core.db import Sessions
from portal.core.errors import Invalid
from portal.core.outbox import Mail
from portal.transparency.queries import signed_log
from portal.transparency.signer import log_transaction

log = logging.getLogger(__name__)

FRESH = timedelta(hours=1)


def must_be_told(effect: Effect) -> bool:
    """Whether owners are told in any case, and reminded: something is taken away."""
    return takes_away(effect.direction) or effect.is_retirement


def check_delivery(sessions: Sessions, settings: Settings) -> int:
    """Hold what too few owners were told of when their time was up; release it when they were."""
    now = clock.now()
    at = int(now.timestamp())
    with sessions() as session:
        signed, done = signed_log(session), get_progress(session)
        if done.size < signed.size:
            return 0  # mails that nobody has queued yet cannot be counted
        due = _due(signed.history, done.delivery_until, at)
        late = [each for each in due if not _delivery(session, signed.history, each).is_enough]
        fresh = [each for each in late if _delivery(session, signed.history, each).is_fresh(now)]
        told = _told(session, signed.history)
    to_hold = [change for change in late if change not in fresh]
    for change in to_hold:
        _act(sessions, settings, _hold, number=change.number)
    if due and not fresh:
        advance(sessions, delivery_until=at)
    for change in told:
        _act(sessions, settings, _release, number=change.number)
    return len(to_hold) + len(told)


def _due(history: History, after: int, until: int) -> list[ChangeInLog]:
    """What takes something away and whose time for delivery ended after `after` and not after `until`."""
    return [
        change
        for change in history.changes.values()
        if after < _deadline(history, change) <= until
        and change.state(until) in {State.ANNOUNCED, State.HELD}
        and change.number != OPENING_CHANGE
        and must_be_told(effect_of(history, change.number))
    ]


def _deadline(history: History, change: ChangeInLog) -> int:
    notice = history.notice_at(change.announced_at)
    return change.announced_at + notice["delivery_seconds"]


def _told(session: Session, history: History) -> list[ChangeInLog]:
    """What is held because of its notices, of which enough were handed over by now."""
    held = select(ChangeHold.number).where(
        ChangeHold.name == NOT_DELIVERED, ChangeHold.lifted_at.is_(None)
    )
    found = [history.changes.get(number) for number in session.scalars(held)]
    # After a recovery the log may have gone further than the holds of the backup.
    changes = [change for change in found if change and change.status is Status.HELD]
    return [change for change in changes if _delivery(session, history, change).is_enough]


@dataclass(frozen=True)
class _Delivery:
    """How many owners' mails there are, and how many of them were handed over; `newest` None = none."""

    queued: int
    sent: int
    newest: datetime | None
    percent: int

    @property
    def is_enough(self) -> bool:
        # With no owner to tell there is nothing to wait for.
        return self.sent * 100 >= self.percent * self.queued

    def is_fresh(self, now: datetime) -> bool:
        """Whether a portal that was away has just written them: then they get a while to be sent."""
        return self.newest is not None and now - self.newest < FRESH


def _delivery(session: Session, history: History, change: ChangeInLog) -> _Delivery:
    row = session.execute(
        select(func.count(), func.count(Mail.sent_at), func.max(Mail.created_at)).where(
            # What can be switched off went to a subscriber.
            Mail.event == event_of_entry(change.number, change.seq),
            Mail.unsubscribe_url.is_(None),
        )
    ).one()
    return _Delivery(*row, percent=history.notice_at(change.announced_at)["delivery_percent"])


def _hold(session: Session, number: int) -> None:
    hold_change(session, actor=JOB, number=number, name=NOT_DELIVERED, reason=NOT_DELIVERED)


def _release(session: Session, number: int) -> None:
    release_change(session, actor=JOB, number=number, name=NOT_DELIVERED)


def _act(
    sessions: Sessions,
    settings: Settings,
    act: Callable[[Session, int], None],
    *,
    number: int,
) -> None:
    try:
        with (
            sessions() as session,
            log_transaction(session, sessions, settings=settings, actor=JOB),
        ):
            act(session, number)
    except (AlreadyHeld, NotHeld):
        pass  # another process was here
    except Invalid as error:
        log.warning("change %d stays as it is: %s", number, error.public)
