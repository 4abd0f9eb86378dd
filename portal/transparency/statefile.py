"""What was signed, outside the database: `secrets/log.state` in the data folder.

A first line with size and root, then a copy of all signed entries, one a line. A database restored
from an older backup would let the signer sign a second history; this file is how it notices, and
where the lost entries are.
"""

import base64
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plimsoll.contract import merkle
from portal.config import secrets_folder

NAME = "log.state"


class BadStateFile(ValueError):
    """The file is there, but is not what the signer wrote."""


@dataclass(frozen=True)
class Signed:
    """The file's first line: how many entries are signed, and their root (32 bytes)."""

    size: int = 0
    root: bytes = merkle.EMPTY_ROOT


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """One signer at a time on this machine, so that an older copy never replaces a newer one."""
    path = secrets_folder(data) / "log.lock"
    opened = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def read_head(data: Path) -> Signed:
    """Size and root only. Raises BadStateFile."""
    path = secrets_folder(data) / NAME
    if not path.exists():
        return Signed()
    with path.open("rb") as file:
        return _head(file.readline())


def read(data: Path) -> list[bytes]:
    """The leaves of all signed entries, none where nothing was signed. Raises BadStateFile."""
    path = secrets_folder(data) / NAME
    if not path.exists():
        return []
    first, *leaves = path.read_bytes().splitlines() or [b""]
    head = _head(first)
    if len(leaves) != head.size or merkle.root(leaves) != head.root:
        raise BadStateFile(f"The entries in secrets/{NAME} do not fit its first line.")
    return leaves


def write(data: Path, leaves: Sequence[bytes]) -> None:
    """Replace the file in one step, durable when this returns."""
    folder = secrets_folder(data)
    head = {"root": base64.b64encode(merkle.root(leaves)).decode(), "size": len(leaves)}
    draft = folder / f"{NAME}.new"
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(b"".join(line + b"\n" for line in (json.dumps(head).encode(), *leaves)))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / NAME)
    _sync_folder(folder)


def _head(line: bytes) -> Signed:
    try:
        fields = json.loads(line)
        return Signed(int(fields["size"]), base64.b64decode(fields["root"], validate=True))
    except (ValueError, KeyError, TypeError) as error:
        raise BadStateFile(f"The first line of secrets/{NAME} cannot be read.") from error


def _sync_folder(folder: Path) -> None:
    # The new name itself must survive a power cut, too.
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
