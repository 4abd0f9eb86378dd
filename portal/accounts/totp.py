"""Codes of an authenticator app (RFC 6238: SHA-1, six digits, 30 seconds), and recovery codes. Pure."""

import base64
import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime

import pyotp
import segno

from portal.core.secrets import choose, digest, random_bytes

ISSUER = "Plimsoll"
STEP_SECONDS = 30
SECRET_BYTES = 20
# People's clocks go wrong by half a minute, and codes take a moment to type.
STEPS_AROUND = (-1, 0, 1)

RECOVERY_CODES = 10
RECOVERY_DIGITS = 20
_GROUP = 4
_QUIET_MODULES = 4  # the white frame without which cameras do not find a QR code


@dataclass(frozen=True)
class QrCode:
    """A QR code as the path of an SVG, one unit a module."""

    size: int
    path: str


def new_secret() -> str:
    """160 random bits in base 32, as RFC 4226 asks for."""
    return base64.b32encode(random_bytes(SECRET_BYTES)).decode()


def link(secret: str, *, email: str) -> str:
    """The `otpauth:` address that tells an app everything."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def qr_code(text: str) -> QrCode:
    """The text as a QR code."""
    code = segno.make_qr(text)
    rows = list(code.matrix_iter(border=_QUIET_MODULES))
    path = "".join(
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, is_dark in enumerate(row)
        if is_dark
    )
    return QrCode(size=len(rows), path=path)


def grouped(text: str) -> str:
    """In groups of four, as people read and type it."""
    return " ".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def digits_of(text: str) -> str:
    """What somebody typed, without the gaps; keyboards of some languages type digits of their own."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(char for char in plain if not char.isspace() and char != "-")


def code_at(secret: str, step: int) -> str:
    return pyotp.HOTP(secret).at(step)


def step_of(at: datetime) -> int:
    return int(at.timestamp()) // STEP_SECONDS


def matching_step(secret: str, typed: str, *, at: datetime, last_step: int) -> int | None:
    """The step whose code was typed, if it may count now: around this instant, and after `last_step`.

    Every candidate is compared, so that the time taken does not say which one was near.
    """
    now, text = step_of(at), digits_of(typed).encode()
    steps = [now + around for around in STEPS_AROUND]
    fitting = [step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), text)]
    # Where two steps happen to have one code, the later one: so it cannot count a second time.
    return max((step for step in fitting if step > last_step), default=None)


def new_recovery_codes() -> tuple[str, ...]:
    """Ten codes, to be shown once. Digits, so that the keyboard for codes types them, too."""
    return tuple(
        "".join(choose("0123456789") for _ in range(RECOVERY_DIGITS)) for _ in range(RECOVERY_CODES)
    )


def recovery_digest(typed: str, *, user_id: str) -> str:
    """What is stored of a recovery code.

    A fast hash does: 66 random bits, hashed for each person apart, are years of work for a code that counts
    only beside the password.
    """
    return digest(f"{user_id}:{digits_of(typed)}")
