import base64
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import canonical, rules
from plimsoll.contract.history import History
from plimsoll.contract.records import EntryRecord, UnreadableRecord
from portal.core import clock
from portal.core.actor import Actor
from portal.journal.commands import record
from portal.transparency.errors import LogTroubled, UnlawfulEntry
from portal.transparency.models import LogEntry, LogHead
from portal.transparency.queries import list_leaves, signed_log


def open_log(session: Session, *, actor: Actor, origin: str, public_key: bytes) -> None:
    """Append `log.opened` as the first entry; an open log stays as it is. Raises LogTroubled."""
    lock_log(session)
    if list_leaves(session, start=0, stop=1):
        return
    append_entry(
        session,
        kind=rules.OPENED,
        body=lambda _: {
            "origin": origin,
            "public_key": base64.b64encode(public_key).decode(),
            "notice": dict(rules.DEFAULT_NOTICE),
        },
    )
    record(session, actor, "log:opened", origin=origin)


def append_entry(
    session: Session,
    *,
    kind: str,
    body: Callable[[int], Mapping[str, Any]],
    at: int | None = None,
) -> LogEntry:
    """Add one entry; it is in force once it is signed, which is a step of its own after the commit.

    `body` is asked with the instant at which the entry is logged, in Unix seconds, so that "at
    once" is that very instant; `at` hands on the instant of the entry before, of which this one is
    a part. Raises UnlawfulEntry, and LogTroubled while nothing is signed.
    """
    if (trouble := lock_log(session).trouble) is not None:
        raise LogTroubled(detail=trouble)
    history = full_history(session)
    now = clock.timestamp() if at is None else at
    new = {"at": now, "body": body(now), "kind": kind, "seq": history.size}
    try:
        rules.check_next(history, new, now)
    except rules.RuleBroken as error:
        raise UnlawfulEntry(error.text, detail=str(error), earliest=error.earliest) from error
    entry = LogEntry(seq=new["seq"], at=now, kind=kind, text=canonical.encode(new).decode())
    session.add(entry)
    session.flush()  # the next entry of the same act counts from this one
    return entry


def full_history(session: Session) -> History:
    """The log with what is not signed yet: mostly read already, so that an act stays cheap."""
    signed = signed_log(session)
    history = signed.history.copy()
    try:
        for leaf in list_leaves(session, start=signed.size):
            history.append(EntryRecord.parse(leaf.encode()).to_wire())
    except UnreadableRecord as error:
        raise LogTroubled(detail=f"entry {history.size} is no entry: {error}") from error
    return history


def lock_log(session: Session) -> LogHead:
    """The head's row, locked until the transaction ends: one appends or signs at a time."""
    return session.execute(
        select(LogHead).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()
