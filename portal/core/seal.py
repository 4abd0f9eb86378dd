"""The seal: numbers every change that gateways must hear of, inside the transaction that makes it (SYNC 1).

A slice registers one builder per kind of record (`register_builder`). The seal, last step of
`transaction()`, locks the head, rebuilds each touched record from fresh reads, and writes those whose
text changed under the next revision. The lock is held to the commit, so that the order of revisions is
the order of commits.
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BigInteger,
    Index,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from plimsoll.contract import canonical
from plimsoll.contract.records import digest_after, digest_hex, record_hash
from portal.core import clock
from portal.core.db import Base, Touched
from portal.core.types import CreatedAt

Built = Iterable[tuple[str, Mapping[str, Any]]]
Builder = Callable[[Session, Collection[str] | None], Built]
_builders: dict[str, Builder] = {}


class SyncRecord(Base):
    """A record as the exact text that is sent."""

    __tablename__ = "sync_record"
    __table_args__ = (Index("ix_sync_record_revision", "revision"),)

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    data: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))


class SyncHead(Base):
    """The one row that says where the state stands."""

    __tablename__ = "sync_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    epoch: Mapped[str] = mapped_column(String(32))
    revision: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    wire_version: Mapped[int] = mapped_column(Integer)


class SyncCommit(Base):
    """One row per revision of the current epoch: what a cursor is checked against."""

    __tablename__ = "sync_commit"

    revision: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    digest: Mapped[str] = mapped_column(String(64))
    committed_at: Mapped[CreatedAt]


def register_builder(kind: str, builder: Builder) -> None:
    """Say how records of `kind` are built: the (id, fields) of the given ids, or of all for None.

    A builder selects columns, never entities: what the session has in its identity map is not fresh.
    """
    _builders[kind] = builder


def build_all(session: Session) -> Iterator[tuple[Touched, str]]:
    """Every record as it is now in the tables: its kind and id, and its text."""
    for kind in sorted(_builders):
        for record_id, fields in _builders[kind](session, None):
            yield (kind, record_id), canonical.encode(fields).decode()


def new_epoch() -> str:
    """128 random bits as 32 hex digits (EXACT 9)."""
    return secrets.token_hex(16)


def lock_head(session: Session) -> SyncHead:
    """The head's row, locked until the transaction ends."""
    return session.execute(
        select(SyncHead).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()


def seal(session: Session) -> None:
    """Rebuild and number the touched records; called by `transaction()` only.

    By plain statements: every change waits for this, and a flush of three rows takes three times as long.
    """
    session.flush()  # everything that the act changed must be in the tables before they are read afresh
    touched: set[Touched] = session.info.pop("touched", set())
    if not touched:
        return
    link = session.connection()
    revision, count, before = link.execute(_LOCKED_HEAD).one()
    changed = _changed(session, touched)
    if not changed:
        return
    revision, digest = revision + 1, int(before, 16)
    for each in changed:
        digest = digest_after(digest, added=each.hash, removed=each.removed)
        count += each.removed is None
    for statement, is_new in ((_ADD_RECORD, True), (_SET_RECORD, False)):
        rows = [each.row(revision) for each in changed if (each.removed is None) is is_new]
        if rows:
            link.execute(statement, rows)
    stands = {"revision": revision, "digest": digest_hex(digest)}
    link.execute(_SET_HEAD, stands | {"count": count})
    link.execute(_ADD_COMMIT, stands | {"committed_at": clock.now()})


class _Changed(NamedTuple):
    """A record's new text and hash, and the hash of the text that it takes the place of."""

    kind: str
    id: str
    text: str
    hash: bytes
    removed: bytes | None

    def row(self, revision: int) -> dict[str, Any]:
        fields = {"data": self.text, "hash": self.hash.hex(), "revision": revision}
        return {"of_kind": self.kind, "of_id": self.id, **fields}


def _changed(session: Session, touched: set[Touched]) -> list[_Changed]:
    found = []
    for kind in sorted({kind for kind, _ in touched}):
        ids = sorted(record_id for of_kind, record_id in touched if of_kind == kind)
        built = {
            record_id: canonical.encode(fields).decode()
            for record_id, fields in _builders[kind](session, ids)
        }
        present = session.connection().execute(_PRESENT, {"of_kind": kind, "ids": list(built)})
        known = {row.id: row for row in present}
        for record_id, text in built.items():
            old = known.get(record_id)
            if old is None or old.data != text:
                fresh = record_hash(kind, record_id, text.encode())
                removed = bytes.fromhex(old.hash) if old else None
                found.append(_Changed(kind, record_id, text, fresh, removed))
    return found


_HEAD, _RECORD, _COMMIT = (
    cast(Table, model.__table__) for model in (SyncHead, SyncRecord, SyncCommit)
)
_LOCKED_HEAD = select(_HEAD.c.revision, _HEAD.c.count, _HEAD.c.digest).with_for_update()
_SET_HEAD = update(_HEAD)
_PRESENT = select(_RECORD.c.id, _RECORD.c.data, _RECORD.c.hash).where(
    _RECORD.c.kind == bindparam("of_kind"), _RECORD.c.id.in_(bindparam("ids", expanding=True))
)
_ADD_RECORD = insert(_RECORD).values(kind=bindparam("of_kind"), id=bindparam("of_id"))
_SET_RECORD = update(_RECORD).where(
    _RECORD.c.kind == bindparam("of_kind"), _RECORD.c.id == bindparam("of_id")
)
_ADD_COMMIT = insert(_COMMIT)
