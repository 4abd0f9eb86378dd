"""When readers are reminded of a change: 30, 7 and 1 days before what it takes away, and at that instant."""

from collections.abc import Iterator
from dataclasses import dataclass

from plimsoll.contract.acts import RELEASED, RESCHEDULED
from plimsoll.contract.announcement import ChangeClass
from plimsoll.contract.history import ChangeInLog, History, Status

DAY = 86_400
DAYS = (30, 7, 1, 0)


@dataclass(frozen=True)
class Reminder:
    """`days` before `turns_at` (Unix seconds); 0 at the instant itself."""

    change: ChangeInLog
    days: int
    turns_at: int

    @property
    def at(self) -> int:
        return self.turns_at - self.days * DAY

    @property
    def event(self) -> str:
        """The name in the outbox: a new date has reminders of its own."""
        step = f"{self.days}d" if self.days else "effective"
        return f"change:{self.change.number}:{step}:{self.turns_at}"


def passed(history: History, after: int, until: int) -> list[Reminder]:
    """The reminders whose instant lies after `after` and not after `until`, the nearest of each change.

    Whoever comes late sends that one and not three at once. None for held and withdrawn changes.
    """
    found = []
    for change in history.changes.values():
        steps = [each for each in _reminders(change) if after < each.at <= until]
        if steps:
            found.append(max(steps, key=lambda each: each.at))
    return found


def _reminders(change: ChangeInLog) -> Iterator[Reminder]:
    """All of one change that lay ahead when it got its date."""
    if change.status is not Status.ANNOUNCED:
        return
    turns_at = change.effective_at
    if change.announcement.change_class is ChangeClass.TEMPORARY_RAISE:
        turns_at = change.expires_at or turns_at
    dated = (step.at for step in change.steps if step.kind in {RELEASED, RESCHEDULED})
    dated_at = max(dated, default=change.announced_at)
    for days in DAYS:
        reminder = Reminder(change, days, turns_at)
        if reminder.at > dated_at:
            yield reminder
