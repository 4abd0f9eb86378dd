"""The tables of a store: what stands in a row, and how each table is written.

The keys of a snapshot stay together in blocks of lines, found by their hash: a row and two index
entries for each of a million keys took three times as long. A record that changes afterwards gets
a row of its own, which goes before its line in a block. This relies on a key keeping its hash for
life; were that broken, the digest would not add up, and the next snapshot would mend it.
"""

import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from plimsoll.contract.records import Cursor, split_put
from plimsoll.errors import StoreFromTheFuture

FORMAT = 1
REVOKED_KEPT_SECONDS = 90 * 86_400

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE record (
    kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, data BLOB NOT NULL,
    secret BLOB, good BLOB, fallback TEXT
);
CREATE TABLE block (number INTEGER PRIMARY KEY, lines BLOB NOT NULL);
CREATE TABLE place (secret INTEGER NOT NULL, block INTEGER NOT NULL);
CREATE TABLE log (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL);
CREATE TABLE revoked (id TEXT PRIMARY KEY, seen_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY, used INTEGER NOT NULL, at INTEGER NOT NULL)
    WITHOUT ROWID;
"""
# What waits to be reported (`plimsoll.spool`); a batch with a code is parked.
_SPOOL = """
CREATE TABLE IF NOT EXISTS usage (
    minute INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, refused BLOB,
    PRIMARY KEY (minute, key, model)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
    boot INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, code TEXT,
    PRIMARY KEY (boot, seq)
);
"""
# With a rowid, which is the order in which counters began to wait.
_METERED = """
CREATE TABLE IF NOT EXISTS metered (
    owner TEXT NOT NULL, name TEXT NOT NULL, fields BLOB NOT NULL, PRIMARY KEY (owner, name)
);
"""
# The table as it was before counters had an order.
_IS_UNORDERED = (
    "SELECT count(*) FROM sqlite_master WHERE name = 'metered' AND sql LIKE '%WITHOUT ROWID%'"
)
_ORDER = (
    "BEGIN; ALTER TABLE metered RENAME TO unordered;",
    _METERED,
    "INSERT INTO metered SELECT * FROM unordered; DROP TABLE unordered; COMMIT;",
)
# Built after a snapshot's rows: sorting once is several times as fast as keeping order.
_INDEXES = """
CREATE UNIQUE INDEX record_id ON record (kind, id);
CREATE INDEX record_secret ON record (secret) WHERE secret IS NOT NULL;
CREATE INDEX place_secret ON place (secret);
"""
_COMPLETE = f"PRAGMA user_version = {FORMAT};"
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "busy_timeout = 10000",
    "foreign_keys = ON",
    # 64 MB. Until then a commit leaves the log to `Store.checkpoint`.
    "wal_autocheckpoint = 16000",
)
_HASH = re.compile(rb'"hash":"([0-9a-f]{64})"')
_PLACE_DIGITS = 15


class Head(NamedTuple):
    """Where the copy stands: epoch, revision, number of records, digest as a number."""

    epoch: str
    revision: int
    records: int
    digest: int

    @property
    def cursor(self) -> str:
        """The cursor to ask the portal from and to acknowledge with."""
        return str(Cursor.at(self.epoch, self.revision, self.digest))


class Row(NamedTuple):
    """A stored record. `data` is the text as received.

    `secret`: for keys, the SHA-256 they are found by (32 bytes). `good`: the last readable text,
    where `data` cannot be read. `fallback`: for organisations, the tier before a move.
    """

    kind: str
    id: str
    revision: int
    data: bytes
    secret: bytes | None = None
    good: bytes | None = None
    fallback: str | None = None


class LogStep(NamedTuple):
    """A verified extension of the log: new leaves and the checkpoint (text) they lead to.

    `judged` is the number of entries, from the first, that were found lawful: all, unless one
    was not understood.
    """

    start: int
    leaves: tuple[bytes, ...]
    origin: str
    public_key: bytes
    checkpoint: str
    judged: int


def secret_in(data: bytes) -> bytes | None:
    """The SHA-256 that a key is found by, also where the rest of its record cannot be read."""
    found = _HASH.search(data)
    return None if found is None else bytes.fromhex(found[1].decode())


def place_of(text: bytes, start: int = 0) -> int:
    """What a key in a block is indexed by: the first 60 bits of the hash in hex at `start`."""
    return int(text[start : start + _PLACE_DIGITS], 16)


def line_with(mark: bytes, lines: bytes) -> Row | None:
    """The record in a block whose line holds `mark`."""
    at = lines.find(mark)
    if at < 0:
        return None
    start, end = lines.rfind(b"\n", 0, at) + 1, lines.find(b"\n", at)
    return Row(*split_put(lines[start : None if end < 0 else end]))


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits when told to, in the gateway's durability (EXACT.md 39)."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def create_tables(connection: sqlite3.Connection) -> None:
    """The tables of a new file, without indexes."""
    connection.executescript(_TABLES + _SPOOL + _METERED)


def create_spool(connection: sqlite3.Connection) -> None:
    """The tables of the spool, in a file that was begun without them or with earlier ones."""
    connection.executescript(_SPOOL + _METERED)
    if connection.execute(_IS_UNORDERED).fetchone()[0]:
        connection.executescript("".join(_ORDER))


def create_indexes(connection: sqlite3.Connection) -> None:
    """The indexes; a file without them is not complete."""
    connection.executescript(_INDEXES + _COMPLETE)


def create_all(connection: sqlite3.Connection) -> None:
    """A whole new file, in one transaction."""
    connection.executescript(f"BEGIN; {_TABLES} {_SPOOL} {_METERED} {_INDEXES} {_COMPLETE} COMMIT;")


def is_complete(connection: sqlite3.Connection) -> bool:
    """Whether the file has all tables and indexes.

    Raises:
        StoreFromTheFuture: a newer version wrote it.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise StoreFromTheFuture(f"the store has format {version}; this version knows {FORMAT}")
    return bool(version)


def write_meta(connection: sqlite3.Connection, values: dict[str, Any]) -> None:
    """Set small facts."""
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def write_head(connection: sqlite3.Connection, head: Head) -> None:
    """Set the position."""
    fields = {**head._asdict(), "digest": f"{head.digest:064x}"}
    write_meta(connection, fields)


def head_of(meta: dict[str, Any]) -> Head | None:
    """The position as stored."""
    if "epoch" not in meta:
        return None
    return Head(meta["epoch"], meta["revision"], meta["records"], int(meta["digest"], 16))


def write_log(connection: sqlite3.Connection, step: LogStep | None) -> None:
    """Extend the verified log and pin its key."""
    if step is None:
        return
    leaves = enumerate(step.leaves, step.start)
    connection.executemany("INSERT INTO log VALUES (?, ?)", leaves)
    pinned = {"log_origin": step.origin, "log_key": step.public_key, "log_text": step.checkpoint}
    write_meta(connection, {**pinned, "log_judged": step.judged})


def write_revoked(connection: sqlite3.Connection, ids: Iterable[str], at: int) -> None:
    """Remember keys as revoked for 90 days from when that was first seen."""
    connection.executemany(
        "INSERT OR IGNORE INTO revoked VALUES (?, ?)", ((key_id, at) for key_id in ids)
    )
    connection.execute("DELETE FROM revoked WHERE seen_at < ?", (at - REVOKED_KEPT_SECONDS,))
