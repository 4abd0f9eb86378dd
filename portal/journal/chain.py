"""The chain: each row's hash is over the row and the hash of the one before, so that tampering shows.

It is written as the last step of a transaction, after the seal. From there to the commit the chain's head is
locked, so that the order of rows is the order of commits. Nothing else is locked after it, and heads are
locked in one order: two transactions cannot wait for each other.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from plimsoll.contract import canonical
from portal.core import clock
from portal.journal.models import Event, JournalHead

PORTAL = "portal"  # the chain of what belongs to no organisation
START = "0" * 64
HASHED = (
    "id",
    "chain",
    "seq",
    "at",
    "tag",
    "actor_id",
    "is_staff",
    "via",
    "org_id",
    "subject_id",
    "details",
    "previous",
)
_BATCH = 1000


class Chaining:
    """The events of one transaction, numbered and chained at its end."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, session: Session) -> None:
        connection = session.connection()
        # In one order for all: so that two transactions cannot wait for each other.
        chains = sorted({event["chain"] for event in self.events})
        heads = {chain: _lock_head(connection, chain) for chain in chains}
        for event in self.events:
            seq, previous = heads[event["chain"]]
            event |= {"seq": seq + 1, "previous": previous}
            event["hash"] = hash_of(event)
            heads[event["chain"]] = (event["seq"], event["hash"])
        connection.execute(_ADD, self.events)
        moved = [{"of": chain, "seq": seq, "hash": last} for chain, (seq, last) in heads.items()]
        connection.execute(_MOVE, moved)


def _lock_statement(dialect: Any) -> Any:
    # Writing a row that is there anew, as it was, is what locks and reads it at once.
    insert = dialect.insert(_HEADS)
    locked = insert.on_conflict_do_update(index_elements=["chain"], set_={"seq": _HEADS.c.seq})
    return locked.returning(_HEADS.c.seq, _HEADS.c.hash)


# Built once, and on tables: what every act runs must not be put together anew each time.
_EVENTS, _HEADS = Event.metadata.tables["events"], Event.metadata.tables["journal_heads"]
_ADD = insert(_EVENTS)
_MOVE = update(_HEADS).where(_HEADS.c.chain == bindparam("of"))
_LOCK = {"postgresql": _lock_statement(postgresql), "sqlite": _lock_statement(sqlite)}


def _lock_head(connection: Connection, chain: str) -> tuple[int, str]:
    """Where a chain ends, locked; one that begins here ends where all begin."""
    fresh = {"chain": chain, "seq": 0, "hash": START, "created_at": clock.now()}
    row = connection.execute(_LOCK[connection.dialect.name], fresh).one()
    return row.seq, row.hash


def hashed(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the hash of a row is over; the instant in microseconds, since canonical JSON has no fractions."""
    fields = {name: event[name] for name in HASHED}
    at = event["at"]
    return fields | {"at": int(at.timestamp()) * 1_000_000 + at.microsecond}


def hash_of(event: Mapping[str, Any]) -> str:
    """The hash of a row. Raises NotCanonical for details that have no one text."""
    return hashlib.sha256(canonical.encode(hashed(event))).hexdigest()


@dataclass(frozen=True)
class Broken:
    """The first row of a chain that is not as it was written; `why` in words."""

    chain: str
    seq: int
    event_id: str | None
    why: str


@dataclass(frozen=True)
class Checked:
    """What a check found."""

    rows: int
    chains: int
    broken: tuple[Broken, ...]


def check(session: Session) -> Checked:
    """Walk every chain; of each that is broken, the first row. Call it within `snapshot`."""
    heads = {row.chain: row for row in session.execute(select(*JournalHead.__table__.columns))}
    columns = [getattr(Event, name) for name in (*HASHED, "hash")]
    rows = session.execute(
        select(*columns).order_by(Event.chain, Event.seq).execution_options(yield_per=_BATCH)
    )
    walk, walked = _Walk(), set()
    for chain, of_chain in groupby(rows, key=lambda row: row.chain):
        walked.add(chain)
        walk.along(chain, of_chain, heads.get(chain))
    for chain in sorted(set(heads) - walked):
        if heads[chain].seq:
            walk.broken.append(Broken(chain, 1, None, "the whole chain is missing"))
    return Checked(rows=walk.rows, chains=len(walked), broken=tuple(walk.broken))


class _Walk:
    def __init__(self) -> None:
        self.rows = 0
        self.broken: list[Broken] = []

    def along(self, chain: str, rows: Iterator[Row[Any]], head: Row[Any] | None) -> None:
        seq, last, found = 0, START, None
        for row in rows:
            self.rows += 1
            if found is None and (why := _fault(row, seq=seq + 1, previous=last)):
                found = Broken(chain, row.seq, row.id, why)
            seq, last = row.seq, row.hash
        if found is None and (head is None or (head.seq, head.hash) != (seq, last)):
            found = Broken(chain, seq + 1, None, "rows at the end are missing, or were added")
        if found is not None:
            self.broken.append(found)


def _fault(row: Row[Any], *, seq: int, previous: str) -> str | None:
    if row.seq != seq:
        return f"row {seq} is missing"
    if row.previous != previous:
        return "it does not follow the row before"
    if hash_of(row._asdict()) != row.hash:
        return "it is not as it was written"
    return None
