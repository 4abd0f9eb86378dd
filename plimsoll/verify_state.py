"""What `plimsoll verify` keeps of a portal from one time to the next (EXACT.md 17)."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit


class BadKeptFile(ValueError):
    """The file is there, but is not what was kept."""


class Kept(NamedTuple):
    """The pinned key (32 bytes) and origin of a log, and the newest checkpoint that verified."""

    origin: str
    public_key: bytes
    checkpoint: str

    @property
    def identity(self) -> tuple[str, bytes]:
        """Which log this is."""
        return self.origin, self.public_key


def default_folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/plimsoll`, by default `~/.local/state/plimsoll`."""
    home = environ.get("XDG_STATE_HOME")
    # A relative path there is to be ignored (XDG Base Directory Specification).
    if home and Path(home).is_absolute():
        return Path(home) / "plimsoll"
    return Path.home() / ".local" / "state" / "plimsoll"


class Keeper:
    """One portal's file, named after its address: what the portal says of itself names nothing."""

    def __init__(self, folder: Path, url: str) -> None:
        """Nothing is read or made yet."""
        parts = urlsplit(url)
        name = quote(f"{parts.netloc.lower()}{parts.path.rstrip('/')}", safe="")
        self.path = folder / f"{name}.json"

    def read(self) -> Kept | None:
        """What was kept, None at the first time.

        Raises:
            BadKeptFile: it cannot be read; whoever moves it away trusts anew.
        """
        try:
            fields = json.loads(self.path.read_text(encoding="utf-8"))
            public_key = base64.b64decode(fields["public_key"], validate=True)
            kept = Kept(fields["origin"], public_key, fields["checkpoint"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadKeptFile(f"{self.path} cannot be read: {error!r}") from error
        if not (isinstance(kept.origin, str) and isinstance(kept.checkpoint, str)):
            raise BadKeptFile(f"{self.path} does not hold what was kept")
        return kept

    def keep(self, kept: Kept) -> None:
        """Replace the file in one step, durable when this returns."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fields = {
            "checkpoint": kept.checkpoint,
            "origin": kept.origin,
            "public_key": base64.b64encode(kept.public_key).decode(),
        }
        draft = self.path.with_suffix(f".{os.getpid()}")
        opened = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(json.dumps(fields, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
