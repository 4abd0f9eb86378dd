"""The seal: numbers every change that gateways must hear of, inside the transaction that makes it (SYNC 1).

A slice registers one builder per kind of record (`register_builder`). The seal, last step of
`transaction()`, locks the head, rebuilds each touched record from fresh reads, and writes those whose
text changed under the next revision. The lock is held to the commit, so that the order of revisions is
the order of commits.
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String, Text, select
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
    """Rebuild and number the touched records; called by `transaction()` only."""
    session.flush()  # everything that the act changed must be in the tables before they are read afresh
    touched: set[Touched] = session.info.pop("touched", set())
    if not touched:
        return
    head = lock_head(session)
    changed = _changed(session, touched)
    if not changed:
        return
    head.revision += 1
    digest = int(head.digest, 16)
    for (kind, record_id), text, row in changed:
        fresh = record_hash(kind, record_id, text.encode())
        removed = bytes.fromhex(row.hash) if row else None
        digest = digest_after(digest, added=fresh, removed=removed)
        head.count += 0 if row else 1
        written = row or SyncRecord(kind=kind, id=record_id)
        written.revision, written.data, written.hash = head.revision, text, fresh.hex()
        session.add(written)
    head.digest = digest_hex(digest)
    session.add(SyncCommit(revision=head.revision, digest=head.digest, committed_at=clock.now()))
    session.flush()  # the seal's own rows go out before the commit, so that the tripwire stays exact


def _changed(
    session: Session, touched: set[Touched]
) -> list[tuple[Touched, str, SyncRecord | None]]:
    found = []
    for kind in sorted({kind for kind, _ in touched}):
        ids = sorted(record_id for of_kind, record_id in touched if of_kind == kind)
        for record_id, fields in _builders[kind](session, ids):
            text = canonical.encode(fields).decode()
            row = session.get(SyncRecord, (kind, record_id), populate_existing=True)
            if row is None or row.data != text:
                found.append(((kind, record_id), text, row))
    return found
