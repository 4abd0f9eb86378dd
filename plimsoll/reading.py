"""What a received record means for the row that is stored of it.

Every record is stored as received, whether it can be read or not. What cannot be read is told to
the portal once: a key then counts as revoked, an organisation keeps its last readable record.
"""

from collections.abc import Callable
from typing import NamedTuple

from plimsoll.contract.records import (
    CheckpointRecord,
    EntryRecord,
    KeyRecord,
    OrgRecord,
    Put,
)
from plimsoll.tables import Row, secret_in


class Nack(NamedTuple):
    """A record that could not be used, as it is reported to the portal."""

    kind: str
    id: str
    code: str
    text: str


def row_of(put: Put, old: Row | None, *, known_tiers: frozenset[str], nacks: list[Nack]) -> Row:
    """The row for a record that takes the place of `old`; complaints are added to `nacks`."""
    row = Row(put.kind, put.id, put.rev, put.data)
    try:
        if put.kind == "key":
            return row._replace(secret=bytes.fromhex(KeyRecord.parse(put.data).hash))
        if put.kind == "org":
            return row._replace(fallback=_fallback(OrgRecord.parse(put.data), old, known_tiers))
        if put.kind in _OTHERS:
            _OTHERS[put.kind](put.data)
    # A field of an unexpected type can fail in ways that the parser does not name.
    except (ValueError, TypeError) as error:
        nacks.append(Nack(put.kind, put.id, "unreadable", str(error)[:200]))
        return _unreadable(row, old)
    return row


def is_revoked(put: Put) -> bool:
    """Whether a record says that a key is revoked. What cannot be read does not say it."""
    if put.kind != "key" or b'"revoked"' not in put.data:
        return False
    try:
        return KeyRecord.parse(put.data).state == "revoked"
    except (ValueError, TypeError):
        return False


_OTHERS: dict[str, Callable[[bytes], object]] = {
    "entry": EntryRecord.parse,
    "checkpoint": CheckpointRecord.parse,
}


def _unreadable(row: Row, old: Row | None) -> Row:
    # The key is still found, to be refused; the organisation still has what it had.
    if row.kind == "key":
        return row._replace(secret=secret_in(row.data) or (old.secret if old else None))
    if row.kind == "org" and old is not None:
        good = old.data if old.good is None else old.good
        return row._replace(good=good, fallback=old.fallback)
    return row


def _fallback(new: OrgRecord, old: Row | None, known_tiers: frozenset[str]) -> str | None:
    """The tier to keep until the new one is in the verified log (LIMITS.md section 1)."""
    if old is None:
        return None
    try:
        before = OrgRecord.parse(old.data if old.good is None else old.good).tier
    except (ValueError, TypeError):
        return old.fallback
    if before != new.tier and before in known_tiers:
        return before
    return old.fallback
