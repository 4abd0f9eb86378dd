"""Hashing of passwords: argon2id, always outside a transaction, since it takes its time on purpose."""

import unicodedata
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()
# Each hash takes 64 MiB and a core: a crowd at the door queues here instead of filling the memory.
_at_once = BoundedSemaphore(4)


@cache
def _nobody() -> str:
    """What is verified against when nobody has the address, so that the answer takes as long."""
    return _hasher.hash("nobody")


def _normal(password: str) -> str:
    """One form for what keyboards type in several (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def hash_password(password: str) -> str:
    """The argon2id hash to be stored."""
    with _at_once:
        return _hasher.hash(_normal(password))


def is_right(password_hash: str | None, password: str) -> bool:
    """Whether the password fits; takes as long without a hash as with one."""
    nobody = _nobody()  # asked for in either case, so that its first making hints at nothing
    try:
        with _at_once:
            fits = _hasher.verify(password_hash or nobody, _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return fits and password_hash is not None
