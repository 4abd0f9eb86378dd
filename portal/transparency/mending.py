"""What an operator does about a log in trouble: recover what a restored backup lost, discard what
the signer refuses (LIMITS 3).

Each is one transaction, so that a kill at any step leaves either the trouble or its end. Both start
a new epoch for gateways, since the history of entries that they were told of is another afterwards;
that is the business of a slice above, handed in as `renew`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.core.actor import Actor
from portal.core.db import Sessions, transaction
from portal.journal.commands import record
from portal.transparency import statefile
from portal.transparency.commands import lock_log
from portal.transparency.diagnosis import (
    Plan,
    Troubled,
    diagnose,
    find_lawful,
    must_fit_checkpoint,
    parse_leaf,
    read_copy,
    read_seed,
)
from portal.transparency.errors import NothingToDiscard, NothingToRecover, NotMended
from portal.transparency.models import LogEntry, LogHead, Trouble
from portal.transparency.queries import list_leaves, signed_log
from portal.transparency.signer import extend_file, store

Renew = Callable[[Session], object]


@dataclass(frozen=True)
class Mended:
    """What was done: the log's signed size now, and the entries that came or went, by `seq`."""

    size: int
    entries: range


def recover(sessions: Sessions, settings: Settings, *, actor: Actor, renew: Renew) -> Mended:
    """Append again, to the byte, the signed entries that the file has and the database lost.

    Raises NothingToRecover, NotMended.
    """
    with _log_locked(sessions, settings) as session:
        plan, kept = _plan_recovery(session, settings.data)
        if kept < plan.size:
            # What was never signed gives way to what was signed in its place.
            _delete_from(session, kept)
        for seq in range(kept, plan.size):
            entry = parse_leaf(plan.leaves, seq)
            text = plan.leaves[seq].decode()
            session.add(LogEntry(seq=seq, at=entry.at, kind=entry.kind, text=text))
        session.flush()  # what `renew` builds is read from the tables
        store(session, plan)
        lost = range(kept, plan.size)
        record(session, actor, "log:recovered", entries=_listed(lost), size=plan.size)
        renew(session)
    return Mended(plan.size, lost)


def discard(sessions: Sessions, settings: Settings, *, actor: Actor, renew: Renew) -> Mended:
    """Delete the first entry that the signer refuses and all behind it; sign what stands before.

    Raises NothingToDiscard, NotMended.
    """
    with _log_locked(sessions, settings) as session:
        plan = diagnose(session, settings.data)
        if plan.trouble is None:
            raise NothingToDiscard
        if plan.trouble.kind is not Trouble.REFUSED or not plan.is_verified:
            raise NotMended(f"There is nothing to discard, but another trouble: {plan.text}")
        gone = range(plan.size, len(plan.leaves))
        kept = Plan(plan.leaves[: plan.size], plan.size, None, origin=plan.origin, seed=plan.seed)
        store(session, kept)
        _delete_from(session, plan.size)
        record(session, actor, "log:discarded", entries=_listed(gone), why=plan.text)
        renew(session)
    extend_file(settings.data, kept)
    return Mended(plan.size, gone)


@contextmanager
def _log_locked(sessions: Sessions, settings: Settings) -> Iterator[Session]:
    with statefile.locked(settings.data), sessions() as session, transaction(session):
        lock_log(session)
        yield session


def _plan_recovery(session: Session, data: Path) -> tuple[Plan, int]:
    """What to sign, and how many entries of the database are to the byte those of the file."""
    size, text = session.execute(select(LogHead.size, LogHead.text)).one()
    leaves = [leaf.encode() for leaf in list_leaves(session)]
    try:
        copy = read_copy(data)
        if len(copy) <= size:
            raise NothingToRecover
        kept = _count_same(copy, leaves)
        if kept < size:
            raise NotMended(f"Entry {kept} in the database is not the one that was signed.")
        seed = read_seed(copy, data)
        must_fit_checkpoint(leaves, text, size=size, seed=seed)
        _, refused = find_lawful(signed_log(session).history.copy(), copy, now=None)
    except Troubled as trouble:
        raise NotMended(str(trouble)) from trouble
    if refused is not None:
        raise NotMended(f"secrets/{statefile.NAME} was altered. {refused}")
    return Plan(copy, len(copy), None, origin=parse_leaf(copy, 0).body["origin"], seed=seed), kept


def _count_same(copy: Sequence[bytes], leaves: Sequence[bytes]) -> int:
    pairs = enumerate(zip(copy, leaves, strict=False))
    same = min(len(copy), len(leaves))
    return next((seq for seq, (ours, theirs) in pairs if ours != theirs), same)


def _delete_from(session: Session, seq: int) -> None:
    for entry in session.scalars(select(LogEntry).where(LogEntry.seq >= seq)):
        session.delete(entry)
    session.flush()  # a row that takes the place of one deleted would else become an UPDATE


def _listed(seqs: range) -> str:
    return f"{seqs.start} to {seqs.stop - 1}" if len(seqs) > 1 else f"{seqs.start}" if seqs else ""
