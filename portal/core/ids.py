"""Public ids: a prefix for the kind, then a UUIDv7 in Crockford base32, so that they sort by time (EXACT 32)."""

import secrets
import threading
from datetime import datetime

from portal.core import clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26


_lock = threading.Lock()
_last = [0]


def _uuid7() -> int:
    """A version 7 UUID as an integer of 128 bits (RFC 9562, section 5.7).

    Those of one process and one millisecond rise by a random step (section 6.2, method 2), so that
    what one act writes is listed in the order of writing.
    """
    milliseconds = int(clock.now().timestamp() * 1000) & ((1 << 48) - 1)
    with _lock:
        if _last[0] >> 80 == milliseconds:
            _last[0] += 1 + secrets.randbits(32)
        else:
            random_a, random_b = secrets.randbits(12), secrets.randbits(62)
            _last[0] = milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b
        return _last[0]


def first_id(prefix: str, at: datetime) -> str:
    """Where the ids made at an instant or later begin, to find what was written since."""
    return _text(prefix, int(at.timestamp() * 1000) << 80)


def new_id(prefix: str) -> str:
    """A new id such as `org_01jd…`: the prefix, an underscore and 26 characters."""
    return _text(prefix, _uuid7())


def _text(prefix: str, value: int) -> str:
    digits = [_ALPHABET[value >> 5 * place & 31] for place in reversed(range(_LENGTH))]
    return f"{prefix}_{''.join(digits)}"
