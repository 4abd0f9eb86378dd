"""The shape of API keys and gateway tokens (DESIGN.md section 5, EXACT.md 31).

`<prefix><30 random base62 characters><6 base62 characters of CRC-32 over what stands before>`.
The checksum lets a gateway and a secret scanner tell a mistyped or invented key without a look-up.
"""

import hashlib
import zlib
from collections.abc import Callable

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BODY_LENGTH = 30
CHECKSUM_LENGTH = 6

_MEMBERS = frozenset(ALPHABET)


def checksum(text: str) -> str:
    """CRC-32 (zlib) of an ASCII text as 6 base62 characters, most significant first."""
    rest = zlib.crc32(text.encode("ascii"))
    characters = []
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        characters.append(ALPHABET[digit])
    return "".join(reversed(characters))


def new_body(choose: Callable[[str], str]) -> str:
    """30 characters picked from the alphabet by `choose` (`secrets.choice`; tests pass another)."""
    return "".join(choose(ALPHABET) for _ in range(BODY_LENGTH))


def build(prefix: str, body: str) -> str:
    """The whole secret: prefix, body of 30 base62 characters, checksum."""
    return prefix + body + checksum(prefix + body)


def looks_like(text: str, prefix: str) -> bool:
    """Whether `text` has the prefix, the length, the alphabet and the right checksum."""
    if not text.startswith(prefix):
        return False
    if len(text) != len(prefix) + BODY_LENGTH + CHECKSUM_LENGTH:
        return False
    if not _MEMBERS.issuperset(text[len(prefix) :]):
        return False
    return checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]


def secret_digest(text: str) -> str:
    """Lower-case hex SHA-256 of a secret: the only form in which one is stored or sent.

    Raises:
        UnicodeEncodeError: the text is not ASCII; ask `looks_like` first.
    """
    return hashlib.sha256(text.encode("ascii")).hexdigest()
