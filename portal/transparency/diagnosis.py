"""What a pass of the signer would do: reads everything, writes nothing.

The tree is checked against what was signed before, by the checkpoint and by the copy in the file;
then the new entries by the rule. The first thing that does not fit is the trouble.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import checkpoint, merkle, rules
from plimsoll.contract.history import History
from plimsoll.contract.records import EntryRecord, UnreadableRecord
from portal.core import clock
from portal.transparency import keyfile, statefile
from portal.transparency.keyfile import BadKeyFile
from portal.transparency.models import LogHead, Trouble
from portal.transparency.queries import list_leaves, signed_log
from portal.transparency.statefile import BadStateFile

CLOCK_SECONDS_MAX = 3600


class Troubled(Exception):
    """Why nothing is signed, in words for the staff, and of which kind that is."""

    def __init__(self, kind: Trouble, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Plan:
    """What a pass would do: sign the first `size` of `leaves`, or report the trouble."""

    leaves: Sequence[bytes]
    size: int
    trouble: Troubled | None
    origin: str = ""
    seed: bytes = b""

    @property
    def is_verified(self) -> bool:
        """Whether what was signed before was found as it was signed."""
        return bool(self.seed)

    @property
    def text(self) -> str | None:
        return None if self.trouble is None else str(self.trouble)


def diagnose(session: Session, data: Path) -> Plan:
    """Look at everything: database, key and file."""
    size, text = session.execute(select(LogHead.size, LogHead.text)).one()
    leaves = [leaf.encode() for leaf in list_leaves(session)]
    try:
        copy = read_copy(data)
        if not leaves and not copy:
            return Plan(leaves, size, None)
        _must_not_be_ahead(copy, size)
        seed, origin = read_seed(leaves, data), parse_leaf(leaves, 0).body["origin"]
        _must_be_the_copy(leaves, copy)
        must_fit_checkpoint(leaves, text, size=size, seed=seed)
        history = signed_log(session).history.copy()
        lawful, refused = find_lawful(history, leaves, now=clock.timestamp())
    except Troubled as trouble:
        return Plan(leaves, size, trouble)
    return Plan(leaves, lawful, refused, origin=origin, seed=seed)


def read_copy(data: Path) -> list[bytes]:
    """The signed entries in the file. Raises Troubled."""
    try:
        return statefile.read(data)
    except BadStateFile as error:
        raise Troubled(Trouble.FILE, str(error)) from error


def _must_not_be_ahead(copy: Sequence[bytes], size: int) -> None:
    if len(copy) > size:
        raise Troubled(
            Trouble.BEHIND,
            f"secrets/{statefile.NAME} holds {len(copy)} signed entries, the database {size}: an older"
            " state of the database was restored. Nothing is signed, so that there are never two"
            " histories.",
        )


def read_seed(leaves: Sequence[bytes], data: Path) -> bytes:
    """The key, if it is the one that the log in `leaves` was opened with. Raises Troubled."""
    try:
        seed = keyfile.load(data)
    except BadKeyFile as error:
        raise Troubled(Trouble.KEY, str(error)) from error
    if seed is None:
        text = f"The log's key, secrets/{keyfile.NAME}, is missing. Put it back."
        raise Troubled(Trouble.KEY, text)
    public_key = base64.b64encode(checkpoint.public_key_of(seed)).decode()
    if parse_leaf(leaves, 0).body.get("public_key") != public_key:
        text = f"secrets/{keyfile.NAME} is not the key that the log was opened with."
        raise Troubled(Trouble.KEY, text)
    return seed


def parse_leaf(leaves: Sequence[bytes], seq: int) -> EntryRecord:
    """Raises Troubled where it is no entry."""
    try:
        return EntryRecord.parse(leaves[seq])
    except (UnreadableRecord, IndexError) as error:
        raise Troubled(Trouble.REFUSED, f"it is no entry of the log ({error}).") from error


def _must_be_the_copy(leaves: Sequence[bytes], copy: Sequence[bytes]) -> None:
    for seq, (ours, theirs) in enumerate(zip(copy, leaves, strict=False)):
        if ours != theirs:
            text = f"Entry {seq} in the database is not the one that was signed."
            raise Troubled(Trouble.ALTERED, text)


def must_fit_checkpoint(
    leaves: Sequence[bytes], text: str | None, *, size: int, seed: bytes
) -> None:
    """The database still holds what its own checkpoint covers. Raises Troubled."""
    signed = _read_checkpoint(leaves, text, seed=seed)
    if signed.size != size:
        text = f"The database says that {size} entries are signed, its checkpoint {signed.size}."
        raise Troubled(Trouble.ALTERED, text)
    if len(leaves) < size or merkle.root(leaves[:size]) != signed.root:
        text = f"The first {size} entries in the database are not those signed."
        raise Troubled(Trouble.ALTERED, text)


def _read_checkpoint(
    leaves: Sequence[bytes], text: str | None, *, seed: bytes
) -> checkpoint.Checkpoint:
    if text is None:
        return checkpoint.Checkpoint("", 0, merkle.EMPTY_ROOT)
    origin = parse_leaf(leaves, 0).body.get("origin", "")
    try:
        return checkpoint.verify(text, origin, checkpoint.public_key_of(seed))
    except checkpoint.BadCheckpoint as error:
        text = f"The checkpoint in the database is not ours: {error}."
        raise Troubled(Trouble.ALTERED, text) from error


def find_lawful(
    history: History, leaves: Sequence[bytes], *, now: int | None
) -> tuple[int, Troubled | None]:
    """How many entries may be signed, and why not the next one; those in `history` are signed already.

    `now` None asks of no entry that it is of this hour.
    """
    for seq in range(history.size, len(leaves)):
        try:
            entry = parse_leaf(leaves, seq)
            rules.check_next(history, entry.to_wire(), entry.at)
            _must_be_of_this_hour(entry.at, now)
        except Troubled as error:
            return seq, Troubled(Trouble.REFUSED, f"Entry {seq} is not signed: {error}")
        except rules.RuleBroken as error:
            return seq, Troubled(Trouble.REFUSED, f"Entry {seq} is not signed: {error.text}.")
        history.append(entry.to_wire())
    return len(leaves), None


def _must_be_of_this_hour(at: int, now: int | None) -> None:
    if now is not None and abs(now - at) > CLOCK_SECONDS_MAX:
        text = "its time is more than an hour from this machine's clock."
        raise Troubled(Trouble.REFUSED, text)
