from dataclasses import dataclass
from datetime import datetime

from portal.core.outbox import Message
from portal.keys.models import KeyState

STANDS = (
    "You receive this as an owner or manager of the organisation, or since you issued the key; "
    "it cannot be switched off."
)


@dataclass(frozen=True, kw_only=True)
class KeyNamed:
    """A key as mails name it: never by its secret."""

    org: str
    name: str
    shown: str
    url: str


def ends_soon(
    *, to: str, key: KeyNamed, expires_at: datetime, was_rotated: bool, used_at: datetime | None
) -> Message:
    what = "old secret of the rotated key" if was_rotated else "API key"
    used = f"It was last used at {_at(used_at)}." if used_at else "No gateway has reported its use."
    advice = (
        "Programs that still use it need the secret of the key that took its place."
        if was_rotated
        else "If programs still use it, rotate it before: the new key then takes its place while the old one goes on."
    )
    first = (
        f"The {what} “{key.name}” ({key.shown}) of {key.org} ends at {_at(expires_at)}.\n"
        "From then on gateways refuse it."
    )
    parts = [first, f"{used} {advice}", key.url]
    return _message(to, f"{key.org}: the key “{key.name}” ends on {expires_at:%Y-%m-%d}", parts)


PAUSED_NOW = (
    "By your organisation's rule it was paused at once: gateways refuse it until you resume it."
)
STATES = {
    KeyState.ACTIVE: "It still works. Whoever reads that place can use it in your name.",
    KeyState.PAUSED: "It is paused: it works again as soon as somebody resumes it.",
    KeyState.EXPIRED: "It does not work any more.",
    KeyState.REVOKED: "It does not work any more.",
}


def leaked(*, to: str, key: KeyNamed, place: str, found_at: datetime, state: str) -> Message:
    """`state`: one of those above."""
    parts = [
        f"The secret of the API key “{key.name}” ({key.shown}) of {key.org} was found in public at {_at(found_at)}:",
        place,
        state,
        "Rotate it without a grace, or revoke it; then look at what it was used for.",
        key.url,
    ]
    return _message(to, f"{key.org}: the key “{key.name}” is public", parts)


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _message(to: str, subject: str, parts: list[str]) -> Message:
    return Message(to=to, subject=subject[:200], text="\n\n".join([*parts, STANDS]) + "\n")
