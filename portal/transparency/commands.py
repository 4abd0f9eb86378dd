import base64
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import canonical, rules
from portal.core import clock
from portal.core.actor import Actor
from portal.journal.commands import record
from portal.transparency.errors import LogTroubled, UnlawfulEntry
from portal.transparency.models import LogEntry, LogHead
from portal.transparency.queries import list_leaves


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
    entries = [canonical.decode(leaf) for leaf in list_leaves(session)]
    now = clock.timestamp() if at is None else at
    new = {"at": now, "body": body(now), "kind": kind, "seq": len(entries)}
    try:
        rules.check(entries, new, now)
    except rules.RuleBroken as error:
        raise UnlawfulEntry(error.text, detail=str(error)) from error
    entry = LogEntry(seq=new["seq"], at=now, kind=kind, text=canonical.encode(new).decode())
    session.add(entry)
    session.flush()  # the next entry of the same act counts from this one
    return entry


def lock_log(session: Session) -> LogHead:
    """The head's row, locked until the transaction ends: one appends or signs at a time."""
    return session.execute(
        select(LogHead).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()
