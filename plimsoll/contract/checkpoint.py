"""Signed checkpoints of the log: c2sp.org/tlog-checkpoint in a c2sp.org/signed-note, Ed25519.

```
origin
size
base64 root

— origin base64(4 bytes of key id ‖ 64 bytes of signature)
```

The signature is over the text before the blank line, with its last line feed (LIMITS.md section 3).
Keys are raw: 32 bytes of seed, 32 bytes of public key.
"""

import base64
import hashlib
import re
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

_ED25519 = b"\x01"
_HASH_LENGTH = 32
_KEY_ID_LENGTH = 4
_SIGNED_LENGTH = _KEY_ID_LENGTH + 64
_TEXT_LINES_MIN = 3
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_ORIGIN = re.compile(r"[^\s+]+")


class BadCheckpoint(ValueError):
    """A checkpoint that is malformed, of another log, or not signed by the pinned key."""


class Checkpoint(NamedTuple):
    """What a checkpoint says: this log had `size` entries with this root (32 bytes)."""

    origin: str
    size: int
    root: bytes


def sign(*, origin: str, size: int, root: bytes, private_key: bytes) -> str:
    """The signed note for a tree, ending in a line feed; `private_key` is the 32-byte seed."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    key = Ed25519PrivateKey.from_private_bytes(private_key)
    signed = key_id(origin, public_key_of(private_key)) + key.sign(text.encode())
    return f"{text}\n— {origin} {base64.b64encode(signed).decode()}\n"


def verify(text: str, origin: str, public_key: bytes) -> Checkpoint:
    """The checkpoint in a signed note. Signatures of other keys (witnesses) are passed over.

    Raises:
        BadCheckpoint: anything short of a valid signature by this key over a well-formed text.
    """
    body, signatures = _split(text)
    checkpoint = _parse(body)
    if checkpoint.origin != origin:
        raise BadCheckpoint(f"the checkpoint is of the log {checkpoint.origin!r}")
    signature = _signature(signatures, origin, key_id(origin, public_key))
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, body.encode())
    except (InvalidSignature, ValueError) as error:
        raise BadCheckpoint("the signature does not fit the text") from error
    return checkpoint


def read(text: str) -> Checkpoint:
    """The checkpoint in a note whose signature is yet to be verified.

    Raises:
        BadCheckpoint: malformed.
    """
    return _parse(_split(text)[0])


def key_id(name: str, public_key: bytes) -> bytes:
    """First 4 bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key) (c2sp.org/signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_KEY_ID_LENGTH]


def public_key_of(private_key: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def fingerprint(public_key: bytes) -> str:
    """What people compare when they pin the log's key: lower-case hex SHA-256 of its 32 bytes."""
    return hashlib.sha256(public_key).hexdigest()


def _split(text: str) -> tuple[str, list[str]]:
    # The signatures follow the last blank line; the text keeps its own final line feed.
    head, separator, tail = text.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise BadCheckpoint("not a signed note")
    lines = tail[:-1].split("\n")
    if not all(line.startswith("— ") for line in lines):
        raise BadCheckpoint("a signature line is malformed")
    return f"{head}\n", lines


def _parse(body: str) -> Checkpoint:
    lines = body[:-1].split("\n")
    if len(lines) < _TEXT_LINES_MIN or not all(lines):
        raise BadCheckpoint("a checkpoint has origin, size and root")
    if not _ORIGIN.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]):
        raise BadCheckpoint("origin or size is malformed")
    root = _from_base64(lines[2])
    if len(root) != _HASH_LENGTH:
        raise BadCheckpoint("the root is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _signature(lines: list[str], name: str, wanted: bytes) -> bytes:
    for line in lines:
        parts = line.split(" ")
        if len(parts) != len(("—", "name", "signature")) or parts[1] != name:
            continue
        signed = _from_base64(parts[2])
        if signed[:_KEY_ID_LENGTH] == wanted and len(signed) == _SIGNED_LENGTH:
            return signed[_KEY_ID_LENGTH:]
    raise BadCheckpoint("no signature by the log's key")


def _from_base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadCheckpoint("malformed base64") from error
    # One value, one text: stray bits in the last character are refused.
    if base64.b64encode(raw).decode() != text:
        raise BadCheckpoint("malformed base64")
    return raw
