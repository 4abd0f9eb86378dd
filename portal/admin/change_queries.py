from dataclasses import dataclass

from sqlalchemy.orm import Session

from plimsoll.contract.announcement import ChangeClass
from plimsoll.contract.history import ChangeInLog, History, State
from portal.changelog.announcements import list_announcements
from portal.changelog.diff import direction_word
from portal.changelog.drafts import list_drafts
from portal.changelog.holds import list_holds
from portal.changelog.life import reason_in_words
from portal.changelog.models import ChangeDraft, ChangeHold, PlainAnnouncement
from portal.changelog.timeline import verdict
from portal.core import clock
from portal.core.errors import NotFound
from portal.transparency.queries import signed_log

FALLEN = "fallen"


@dataclass(frozen=True)
class ChangeRow:
    """A published change, and what may be done to it now. Instants are Unix seconds."""

    number: int
    title: str
    state: State
    direction: str
    effective_at: int
    acts: tuple[str, ...]


@dataclass(frozen=True)
class ChangesPage:
    upcoming: tuple[ChangeRow, ...]
    past: tuple[ChangeRow, ...]
    drafts: list[ChangeDraft]
    announcements: list[PlainAnnouncement]


@dataclass(frozen=True)
class Held:
    """A change with its holds by name; `fallen` where another change took it along."""

    change: ChangeInLog
    holds: dict[str, str]


def get_changes_page(session: Session) -> ChangesPage:
    """All changes, the upcoming ones soonest first, the others newest first."""
    log, now = signed_log(session), clock.timestamp()
    rows = [
        ChangeRow(
            number=change.number,
            title=change.title,
            state=change.state(now),
            direction=direction_word(verdict(log, change.number).direction),
            effective_at=change.effective_at,
            acts=acts_of(change, at=now),
        )
        for change in log.history.changes.values()
    ]
    ahead = (State.ANNOUNCED, State.HELD)
    upcoming = sorted(
        (row for row in rows if row.state in ahead), key=lambda row: (row.effective_at, row.number)
    )
    return ChangesPage(
        upcoming=tuple(upcoming),
        past=tuple(row for row in reversed(rows) if row.state not in ahead),
        drafts=list_drafts(session),
        announcements=list_announcements(session),
    )


def acts_of(change: ChangeInLog, *, at: int) -> tuple[str, ...]:
    """What the rule may let happen to a change, by the last part of its address."""
    state = change.state(at)
    if state is State.ANNOUNCED:
        return "withdraw", "reschedule", "hold", "amend"
    if state is State.HELD:
        return "withdraw", "release", "hold", "amend"
    is_cut = change.announcement.change_class is ChangeClass.EMERGENCY_CUT
    if state is State.EFFECTIVE and is_cut:
        return "withdraw", "amend"
    return ("amend",)


def list_replaceable(session: Session) -> list[ChangeInLog]:
    """The changes that another one may replace."""
    log, now = signed_log(session), clock.timestamp()
    ahead = (State.ANNOUNCED, State.HELD)
    return [each for each in log.history.changes.values() if each.state(now) in ahead]


def get_published(session: Session, number: int) -> ChangeInLog:
    """A change as the signed log has it. Raises NotFound."""
    found = signed_log(session).history.changes.get(number)
    if found is None:
        raise NotFound
    return found


def list_followers(session: Session, change: ChangeInLog) -> list[ChangeInLog]:
    """The changes that are held along with one that is held or withdrawn now."""
    history: History = signed_log(session).history
    if change.state(clock.timestamp()) is not State.ANNOUNCED:
        return []
    return history.followers(change, clock.timestamp())


def get_held(session: Session, number: int) -> Held:
    """A change with the names under which it is held. Raises NotFound."""
    change = get_published(session, number)
    holds = {hold.name: _said(hold) for hold in list_holds(session, number)}
    if not holds and change.state(clock.timestamp()) is State.HELD:
        # After a recovery of the log nobody knows any more under which name it was held.
        reason = reason_in_words(change.hold_reason or "")
        fallen = f"it was held along with change {change.held_by}" if change.held_by else reason
        holds = {FALLEN: fallen}
    return Held(change, holds)


def _said(hold: ChangeHold) -> str:
    reason = reason_in_words(hold.reason)
    # What the job says in words, it says whole.
    return f"{hold.name}: {reason}" if reason == hold.reason else reason
