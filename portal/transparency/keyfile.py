"""The log's Ed25519 key: `secrets/log.key` in the data folder, base64 of its seed (EXACT 17)."""

import base64
import binascii
import secrets
from contextlib import suppress
from pathlib import Path

from portal.config import secrets_folder

NAME = "log.key"
SEED_BYTES = 32


class BadKeyFile(ValueError):
    """The file is there, but holds no key."""


def load(data: Path) -> bytes | None:
    """The seed, or None where there is no key. Raises BadKeyFile."""
    path = secrets_folder(data) / NAME
    if not path.exists():
        return None
    try:
        seed = base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadKeyFile(f"secrets/{NAME} is not the base64 of a key.") from error
    if len(seed) != SEED_BYTES:
        raise BadKeyFile(f"secrets/{NAME} does not hold {SEED_BYTES} bytes.")
    return seed


def load_or_make(data: Path) -> bytes:
    """The seed, made at first use. Raises BadKeyFile."""
    if (seed := load(data)) is not None:
        return seed
    path = secrets_folder(data) / NAME
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    text = base64.b64encode(secrets.token_bytes(SEED_BYTES)).decode()
    draft.write_text(f"{text}\n", encoding="ascii")
    # A link fails where the name exists, so that two first starts at once end with one key.
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    return load_or_make(data)
