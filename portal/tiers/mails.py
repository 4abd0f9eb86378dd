from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from portal.core.outbox import Message

STANDS = "You receive this as an owner of the organisation; it cannot be switched off."


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A step that was taken; `lost` what it takes away, a sentence each; `instead`: which plan is off."""

    org: str
    tier: str
    reason: str
    lost: tuple[str, ...]
    for_abuse: bool
    instead: str | None


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """A move that is planned, or was."""

    org: str
    before: str
    tier: str
    effective_at: datetime
    reason: str
    lost: tuple[str, ...]
    for_abuse: bool


@dataclass(frozen=True, kw_only=True)
class Granted:
    """A grant; `no_effect`: why it raises nothing as things stand."""

    org: str
    allows: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    no_effect: str | None = None


def moved(*, to: str, moved: Moved) -> Message:
    first = (
        f"Your organisation {moved.org} was moved to the tier {moved.tier}. Its limits apply from now on;\n"
        "what you have used so far stays counted."
    )
    parts = [first, moved.instead or "", _abuse(for_abuse=moved.for_abuse), *_lost(moved.lost)]
    return _message(to, f"{moved.org} is now on {moved.tier}", parts, reason=moved.reason)


def planned(*, to: str, ahead: Ahead, instead: str | None = None) -> Message:
    first = (
        f"Your organisation {ahead.org} moves from the tier {ahead.before} to {ahead.tier}\n"
        f"on {_at(ahead.effective_at)}. Until then nothing changes."
    )
    parts = [first, instead or "", _abuse(for_abuse=ahead.for_abuse), *_lost(ahead.lost)]
    subject = f"{ahead.org} moves to {ahead.tier} on {ahead.effective_at:%Y-%m-%d}"
    return _message(to, subject, parts, reason=ahead.reason)


def move_soon(*, to: str, ahead: Ahead) -> Message:
    first = (
        f"As announced, your organisation {ahead.org} moves from the tier {ahead.before} to {ahead.tier}\n"
        f"on {_at(ahead.effective_at)}."
    )
    subject = f"Reminder: {ahead.org} moves to {ahead.tier} on {ahead.effective_at:%Y-%m-%d}"
    return _message(to, subject, [first, *_lost(ahead.lost)], reason=ahead.reason)


def cancelled(*, to: str, ahead: Ahead) -> Message:
    first = (
        f"Your organisation {ahead.org} does not move to the tier {ahead.tier}\n"
        f"on {_at(ahead.effective_at)}, as was planned. It stays on {ahead.before}."
    )
    return _message(to, f"{ahead.org} stays on {ahead.before}", [first], reason=ahead.reason)


def granted(*, to: str, grant: Granted) -> Message:
    first = (
        f"Your organisation {grant.org} was given a grant, which raises one limit for a time:\n\n"
        f"{grant.allows}\n"
        f"from {_at(grant.starts_at)} until {_at(grant.ends_at)}."
    )
    parts = [first, *_no_effect(grant)]
    return _message(to, f"{grant.org}: a higher limit for a time", parts, reason=grant.reason)


def grant_soon_over(*, to: str, grant: Granted) -> Message:
    first = (
        f"The grant of your organisation {grant.org} ends at {_at(grant.ends_at)}:\n\n"
        f"{grant.allows}\n\n"
        "From then on the limit of your tier applies again, unless another grant goes on.\n"
        "If you go on needing more, tell us."
    )
    subject = f"{grant.org}: a grant ends on {grant.ends_at:%Y-%m-%d}"
    return _message(to, subject, [first, *_no_effect(grant)], reason=grant.reason)


def grant_ended(*, to: str, grant: Granted) -> Message:
    first = (
        f"The grant of your organisation {grant.org} was ended early, now and not at {_at(grant.ends_at)}:\n\n"
        f"{grant.allows}\n\n"
        "The limit of your tier applies again, unless another grant goes on. What you have used so far stays counted."
    )
    return _message(to, f"{grant.org}: a grant was ended", [first], reason=grant.reason)


def _no_effect(grant: Granted) -> list[str]:
    return [f"As things stand it changes nothing. {grant.no_effect}"] if grant.no_effect else []


def _abuse(*, for_abuse: bool) -> str:
    if not for_abuse:
        return ""
    return "It happens without the notice that is otherwise promised, because of abuse of the API."


def _lost(lost: Collection[str]) -> list[str]:
    if not lost:
        return []
    lines = [f"- {line}" for line in lost]
    return ["\n".join(["What you no longer have then; nothing of yours is deleted:", "", *lines])]


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _message(to: str, subject: str, parts: list[str], *, reason: str) -> Message:
    paragraphs = [*filter(None, parts), f"The reason given:\n\n{reason}", STANDS]
    return Message(to=to, subject=subject, text="\n\n".join(paragraphs) + "\n")
