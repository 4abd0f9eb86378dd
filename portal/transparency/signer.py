"""Signs what was appended, as a step of its own (LIMITS 3).

It runs right after the commit, at every start and in every pass of the jobs. Order of the steps:
check the tree against what was signed before, check the new entries by the rule, sign, commit the
checkpoint, then extend the file. Killed between any two, the next pass takes up what is left: an
entry without a signature is signed then, and a file behind the database is extended.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import checkpoint, merkle, rules
from plimsoll.contract.records import EntryRecord, UnreadableRecord
from portal.config import Settings
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import Sessions, transaction
from portal.transparency import keyfile, statefile
from portal.transparency.commands import lock_log, open_log
from portal.transparency.errors import LogTroubled, NotSigned
from portal.transparency.keyfile import BadKeyFile
from portal.transparency.models import LogHead
from portal.transparency.queries import count_entries, find_fingerprint, list_leaves
from portal.transparency.statefile import BadStateFile

CLOCK_SECONDS_MAX = 3600


class Trouble(Exception):
    """Why nothing is signed, in words for the staff."""


@dataclass(frozen=True)
class SignOutcome:
    """How many entries are signed, how many by this pass, and what keeps it from signing all."""

    size: int
    signed: int
    trouble: str | None


@dataclass(frozen=True)
class _Plan:
    """What a pass would do: sign the first `size` of `leaves`, or report the trouble."""

    leaves: Sequence[bytes]
    size: int
    trouble: str | None
    origin: str = ""
    seed: bytes = b""

    @property
    def is_verified(self) -> bool:
        """Whether what was signed before was found as it was signed."""
        return bool(self.seed)


@contextmanager
def log_transaction(
    session: Session, sessions: Sessions, *, settings: Settings, actor: Actor
) -> Iterator[None]:
    """A `transaction()` for acts that append to the log: opens it first, signs after the commit.

    Raises LogTroubled before anything is written, NotSigned where the act is recorded but waits.
    """
    if (trouble := sign_new(sessions, settings).trouble) is not None:
        raise LogTroubled(detail=trouble)
    public_key = _own_public_key(settings)
    with transaction(session):
        open_log(session, actor=actor, origin=settings.origin, public_key=public_key)
        yield
    if (trouble := sign_new(sessions, settings).trouble) is not None:
        raise NotSigned(detail=trouble)


def sign_new(sessions: Sessions, settings: Settings, *, thorough: bool = True) -> SignOutcome:
    """Sign all entries that obey the rule and are not signed yet.

    Unless `thorough`, a log of which everything seems signed is not hashed again.
    """
    data = settings.data
    with statefile.locked(data), sessions() as session:
        if not thorough and _seems_settled(session, data):
            return SignOutcome(count_entries(session), 0, None)
        # Looked at without the lock first: a pass that wrote for nothing would wake the next one.
        plan, before = _plan(session, data), _stored(session)
        if (plan.size, plan.trouble) != before:
            with transaction(session):
                lock_log(session)
                plan = _plan(session, data)
                _store(session, plan)
        if plan.is_verified:
            _extend_file(data, plan)
    return SignOutcome(plan.size, plan.size - before[0], plan.trouble)


def fingerprint(session: Session, settings: Settings) -> str:
    """What gateways pin: the key of the open log, or the one that it will be opened with.

    Raises LogTroubled where that cannot be read.
    """
    found = find_fingerprint(session)
    return found or checkpoint.fingerprint(_own_public_key(settings))


def _own_public_key(settings: Settings) -> bytes:
    try:
        return checkpoint.public_key_of(keyfile.load_or_make(settings.data))
    except BadKeyFile as error:
        raise LogTroubled(detail=str(error)) from error


def _seems_settled(session: Session, data: Path) -> bool:
    size, root, trouble = session.execute(select(LogHead.size, LogHead.root, LogHead.trouble)).one()
    try:
        written = statefile.read_head(data)
    except BadStateFile:
        return False
    same = (written.size, written.root.hex()) == (size, root)
    return same and trouble is None and count_entries(session) == size


def _stored(session: Session) -> tuple[int, str | None]:
    row = session.execute(select(LogHead.size, LogHead.trouble)).one()
    return row.size, row.trouble


def _plan(session: Session, data: Path) -> _Plan:
    size, text = session.execute(select(LogHead.size, LogHead.text)).one()
    leaves = [leaf.encode() for leaf in list_leaves(session)]
    try:
        copy = statefile.read(data)
        if not leaves and not copy:
            return _Plan(leaves, size, None)
        _must_not_be_ahead(copy, size)
        seed, origin = _seed(leaves, data), _parse(leaves, 0).body["origin"]
        _must_be_as_signed(leaves, copy, text=text, seed=seed)
        lawful, refused = _lawful(leaves, size)
    except (Trouble, BadKeyFile, BadStateFile) as error:
        return _Plan(leaves, size, str(error))
    return _Plan(leaves, lawful, refused, origin=origin, seed=seed)


def _must_not_be_ahead(copy: Sequence[bytes], size: int) -> None:
    if len(copy) > size:
        raise Trouble(
            f"secrets/{statefile.NAME} holds {len(copy)} signed entries, the database {size}: an older"
            " state of the database was restored. Nothing is signed, so that there are never two"
            " histories."
        )


def _seed(leaves: Sequence[bytes], data: Path) -> bytes:
    seed = keyfile.load(data)
    if seed is None:
        raise Trouble(f"The log's key, secrets/{keyfile.NAME}, is missing. Put it back.")
    public_key = base64.b64encode(checkpoint.public_key_of(seed)).decode()
    if _parse(leaves, 0).body.get("public_key") != public_key:
        raise Trouble(f"secrets/{keyfile.NAME} is not the key that the log was opened with.")
    return seed


def _parse(leaves: Sequence[bytes], seq: int) -> EntryRecord:
    try:
        return EntryRecord.parse(leaves[seq])
    except (UnreadableRecord, IndexError) as error:
        raise Trouble(f"it is no entry of the log ({error}).") from error


def _must_be_as_signed(
    leaves: Sequence[bytes], copy: Sequence[bytes], *, text: str | None, seed: bytes
) -> None:
    """The database still holds what was signed: by its checkpoint, and by the copy in the file."""
    for seq, (ours, theirs) in enumerate(zip(copy, leaves, strict=False)):
        if ours != theirs:
            raise Trouble(f"Entry {seq} in the database is not the one that was signed.")
    if text is None:
        return
    origin = _parse(leaves, 0).body.get("origin", "")
    try:
        signed = checkpoint.verify(text, origin, checkpoint.public_key_of(seed))
    except checkpoint.BadCheckpoint as error:
        raise Trouble(f"The checkpoint in the database is not ours: {error}.") from error
    if len(leaves) < signed.size or merkle.root(leaves[: signed.size]) != signed.root:
        raise Trouble(f"The first {signed.size} entries in the database are not those signed.")


def _lawful(leaves: Sequence[bytes], size: int) -> tuple[int, str | None]:
    """How many entries may be signed, and why not the next one."""
    entries: list[dict[str, Any]] = [_parse(leaves, seq).to_wire() for seq in range(size)]
    now = clock.timestamp()
    for seq in range(size, len(leaves)):
        try:
            entry = _parse(leaves, seq)
            rules.check(entries, entry.to_wire(), entry.at)
            _must_be_of_this_hour(entry.at, now)
        except Trouble as error:
            return seq, f"Entry {seq} is not signed: {error}"
        except rules.RuleBroken as error:
            return seq, f"Entry {seq} is not signed: {error.text}."
        entries.append(entry.to_wire())
    return len(leaves), None


def _must_be_of_this_hour(at: int, now: int) -> None:
    if abs(now - at) > CLOCK_SECONDS_MAX:
        raise Trouble("its time is more than an hour from this machine's clock.")


def _store(session: Session, plan: _Plan) -> None:
    head = lock_log(session)
    head.trouble = plan.trouble
    if plan.size > head.size:
        root = merkle.root(plan.leaves[: plan.size])
        head.size, head.root = plan.size, root.hex()
        head.text = checkpoint.sign(
            origin=plan.origin, size=plan.size, root=root, private_key=plan.seed
        )


def _extend_file(data: Path, plan: _Plan) -> None:
    if statefile.read_head(data).size < plan.size:
        statefile.write(data, plan.leaves[: plan.size])
