"""A second factor while it is set up: nothing is stored before a first code shows that the app has the secret.

Until then the secret travels in the form, encrypted, so that nobody can choose one for somebody else.
"""

from dataclasses import dataclass
from datetime import timedelta

from portal.accounts import totp
from portal.accounts.totp import QrCode
from portal.core import clock
from portal.core.encryption import decrypt, encrypt

SET_UP_LASTS = timedelta(hours=1)


@dataclass(frozen=True)
class SetUp:
    """What the page shows: the secret three times, for a camera, for a tap, for typing."""

    sealed: str
    link: str
    qr: QrCode
    text: str


def begin(*, user_id: str, email: str, key: str) -> SetUp:
    """A new secret, to be shown to this person."""
    secret = totp.new_secret()
    sealed = encrypt(f"{clock.timestamp()}.{secret}", key=key, purpose=_purpose(user_id))
    return show(secret, sealed=sealed, email=email)


def show(secret: str, *, sealed: str, email: str) -> SetUp:
    """The same secret again, where the first code was wrong."""
    link = totp.link(secret, email=email)
    return SetUp(sealed=sealed, link=link, qr=totp.qr_code(link), text=totp.grouped(secret))


def read(sealed: str | None, *, user_id: str, key: str) -> str | None:
    """The secret that `begin` made for this person; None for all else, and when its time is over."""
    text = decrypt(sealed or "", key=key, purpose=_purpose(user_id))
    if text is None:
        return None
    begun, _, secret = text.partition(".")
    is_over = clock.timestamp() >= int(begun) + SET_UP_LASTS.total_seconds()
    return None if is_over else secret


def _purpose(user_id: str) -> str:
    return f"set-up of a second factor of {user_id}"
