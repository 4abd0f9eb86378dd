"""Pure rules about tiers: what a move to a lower one needs, and when people are reminded of what will end."""

from datetime import UTC, datetime, timedelta

from plimsoll.contract.terms import Tier
from plimsoll.contract.wording import duration
from portal.tiers.errors import NoticeTooShort

REMINDER_DAYS = (7, 1)
# A date so little in the past counts as now (EXACT 4): a form takes a moment to fill in.
LATE = timedelta(seconds=60)


def is_downgrade(before: Tier, after: Tier) -> bool:
    """Whether a move leads to a lower rank."""
    return after.rank < before.rank


def must_give_notice(
    before: Tier, after: Tier, *, placed_at: datetime, effective_at: datetime, seconds: int
) -> None:
    """Raises NoticeTooShort for a move to a lower tier with less notice than promised."""
    earliest = placed_at + timedelta(seconds=seconds)
    if is_downgrade(before, after) and effective_at < earliest:
        first = _next_minute(earliest).astimezone(UTC)
        raise NoticeTooShort(
            f"This lowers the organisation from {before.name} to {after.name}. "
            f"{duration(seconds).capitalize()}' notice are promised; "
            f"the earliest date is {first:%Y-%m-%d %H:%M} UTC.",
            field="effective_at",
        )


def _next_minute(instant: datetime) -> datetime:
    """The minute at or after an instant: forms take minutes, and a date so named must be accepted."""
    whole = instant.replace(second=0, microsecond=0)
    return whole if whole == instant else whole + timedelta(minutes=1)


def next_reminder(turns_at: datetime, *, after: datetime) -> datetime | None:
    """When to remind next of what happens at `turns_at`. Who comes late reminds once, not twice."""
    instants = (turns_at - timedelta(days=days) for days in REMINDER_DAYS)
    return min((at for at in instants if at > after), default=None)
