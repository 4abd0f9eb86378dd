"""Signs what was appended, as a step of its own (LIMITS 3).

It runs right after the commit, at every start and in every pass of the jobs. Order of the steps:
check the tree against what was signed before, check the new entries by the rule, sign, commit the
checkpoint, then extend the file. Killed between any two, the next pass takes up what is left: an
entry without a signature is signed then, and a file behind the database is extended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import checkpoint, merkle
from portal.config import Settings
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import Sessions, transaction
from portal.transparency import keyfile, statefile
from portal.transparency.commands import lock_log, open_log
from portal.transparency.diagnosis import Plan, diagnose
from portal.transparency.errors import LogTroubled, NotSigned
from portal.transparency.keyfile import BadKeyFile
from portal.transparency.models import LogHead
from portal.transparency.queries import count_entries, find_fingerprint
from portal.transparency.statefile import BadStateFile


@dataclass(frozen=True)
class SignOutcome:
    """How many entries are signed, how many by this pass, and what keeps it from signing all."""

    size: int
    signed: int
    trouble: str | None


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
        plan, before = diagnose(session, data), _stored(session)
        if (plan.size, plan.text) != before:
            with transaction(session):
                lock_log(session)
                plan = diagnose(session, data)
                store(session, plan)
        if plan.is_verified:
            extend_file(data, plan)
    return SignOutcome(plan.size, plan.size - before[0], plan.text)


def store(session: Session, plan: Plan) -> None:
    """Sign what the plan says may be signed, and keep its trouble; the caller locked the log."""
    head = lock_log(session)
    head.trouble = plan.text
    head.trouble_kind = None if plan.trouble is None else plan.trouble.kind
    if plan.size > head.size:
        root = merkle.root(plan.leaves[: plan.size])
        head.size, head.root, head.signed_at = plan.size, root.hex(), clock.now()
        head.text = checkpoint.sign(
            origin=plan.origin, size=plan.size, root=root, private_key=plan.seed
        )


def extend_file(data: Path, plan: Plan) -> None:
    """Bring the file up to what was committed as signed."""
    if statefile.read_head(data).size < plan.size:
        statefile.write(data, plan.leaves[: plan.size])


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
