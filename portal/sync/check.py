"""`sync check`: do the records say what the tables say? Rebuilds all and compares; writes nothing (SYNC 4)."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.records import digest_hex, digest_of, record_hash
from portal.core.db import Touched
from portal.core.seal import SyncCommit, SyncRecord, build_all
from portal.sync.queries import get_head

SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """What differs: the first ten (kind, id), and the sums that do not fit."""

    records: list[Touched]
    sums: list[str]
    checked: int

    @property
    def is_clean(self) -> bool:
        return not self.records and not self.sums


def check(session: Session) -> Finding:
    """Compare texts, hashes, count and digest; call it inside one `snapshot()`."""
    stored = {
        (row.kind, row.id): (row.data, row.hash)
        for row in session.execute(
            select(SyncRecord.kind, SyncRecord.id, SyncRecord.data, SyncRecord.hash)
        )
    }
    hashes, different = [], []
    for touched, text in build_all(session):
        made = record_hash(*touched, text.encode())
        hashes.append(made)
        if stored.pop(touched, None) != (text, made.hex()):
            different.append(touched)
    return Finding(
        records=[*different, *stored][:SHOWN],
        sums=_sums(session, count=len(hashes), digest=digest_hex(digest_of(hashes))),
        checked=len(hashes),
    )


def _sums(session: Session, *, count: int, digest: str) -> list[str]:
    head = get_head(session)
    last = session.scalar(select(SyncCommit.digest).order_by(SyncCommit.revision.desc()).limit(1))
    found = []
    if head.count != count:
        found.append(f"count is {head.count}, the tables give {count}")
    if head.digest != digest:
        found.append(f"digest is {head.digest[:8]}…, the tables give {digest[:8]}…")
    if last != head.digest:
        found.append("the last commit's digest is not the head's")
    return found
