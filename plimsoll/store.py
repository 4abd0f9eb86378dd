"""A gateway's durable copy of the state: SQLite in a folder of its own (SYNC.md section 3).

Records are kept as the text that was received. Records, cursor and verified log change in one
transaction, so that a kill at any instant leaves a state that the portal once had. A snapshot is
loaded into a new file beside the old one; opening takes the newest complete file, which makes
the renaming of a finished file the instant of the swap.

The keys of a snapshot stay together in blocks of lines, found by their hash: a row and two index
entries for each of a million keys took three times as long. A record that changes afterwards gets
a row of its own, which goes before its line in a block. This relies on a key keeping its hash for
life; were that broken, the digest would not add up, and the next snapshot would mend it.
"""

import contextlib
import fcntl
import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plimsoll.contract.records import Cursor, split_put
from plimsoll.errors import StoreFromTheFuture, StoreInUse

logger = logging.getLogger(__name__)

FORMAT = 1
REVOKED_KEPT_SECONDS = 90 * 86_400
# Longer than the longest window; what is older says nothing any more.
COUNTERS_KEPT_MS = 62 * 86_400_000

_PATTERN = "state-*.db"
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
)
_COLUMNS = "kind, id, revision, data, secret, good, fallback"


_BY_SECRET = f"SELECT {_COLUMNS} FROM record WHERE secret = ?"  # noqa: S608 - constants
_BY_ID = f"SELECT {_COLUMNS} FROM record WHERE kind = ? AND id = ?"  # noqa: S608 - constants
_BLOCKS = "SELECT lines FROM block WHERE number IN (SELECT block FROM place WHERE secret = ?)"
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
    """A verified extension of the log: new leaves and the checkpoint (text) they lead to."""

    start: int
    leaves: tuple[bytes, ...]
    origin: str
    public_key: bytes
    checkpoint: str


class Store:
    """The state folder, open. Safe to use from several threads; closed by `close()`."""

    def __init__(self, directory: str | Path) -> None:
        """Open or create the folder; takes milliseconds, whatever the number of records.

        Raises:
            StoreInUse: another process has it open.
            StoreFromTheFuture: a newer version wrote it.
        """
        self.directory = Path(directory)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder_lock = _lock_folder(self.directory)
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._path = self._newest_file()
        try:
            self._open_file()
            self._begin_boot()
        except BaseException:
            self._folder_lock.close()
            raise

    # ---- what it holds ----

    @property
    def head(self) -> Head | None:
        """The position of the copy, None before the first snapshot."""
        return self._head

    @property
    def boot(self) -> int:
        """How often this store was opened, from 1 (EXACT.md 29)."""
        return int(self.meta["boot"])

    def find_key(self, secret: bytes) -> tuple[Row, bool] | None:
        """The key record found by the SHA-256 of its secret, and whether it was seen revoked."""
        with self._read_lock:
            found = self._read.execute(_BY_SECRET, (secret,)).fetchone()
            row = self._in_blocks(secret) if found is None else Row(*found)
            if row is None:
                return None
            seen = self._read.execute("SELECT 1 FROM revoked WHERE id = ?", (row.id,)).fetchone()
        return row, seen is not None

    def find(self, kind: str, record_id: str, *, secret: bytes | None = None) -> Row | None:
        """One record by its identity; of keys, `secret` makes finding one in a snapshot quick."""
        with self._read_lock:
            found = self._read.execute(_BY_ID, (kind, record_id)).fetchone()
            if found is not None:
                return Row(*found)
            if kind != "key":
                return None
            row = self._by_scan(record_id) if secret is None else self._in_blocks(secret)
        return row if row is not None and row.id == record_id else None

    def log_leaves(self) -> list[bytes]:
        """The verified log, entry by entry, as the bytes of its leaves."""
        with self._read_lock:
            rows = self._read.execute("SELECT leaf FROM log ORDER BY seq").fetchall()
        return [leaf for (leaf,) in rows]

    def counter(self, name: str) -> tuple[int, int] | None:
        """A counter as last saved: used and mark."""
        with self._read_lock:
            found: tuple[int, int] | None = self._read.execute(
                "SELECT used, at FROM counter WHERE name = ?", (name,)
            ).fetchone()
        return found

    def size_bytes(self) -> int:
        """Size of the store on disk."""
        files = self.directory.glob("state-*")
        return sum(file.stat().st_size for file in files if file.exists())

    # ---- what changes it ----

    def apply(
        self,
        rows: Iterable[Row],
        head: Head,
        *,
        log: LogStep | None,
        revoked: Sequence[str],
        at: int,
    ) -> None:
        """Write a verified batch, the cursor and what follows from it, in one transaction.

        `revoked` are the ids of keys that the batch shows revoked, `at` the Unix second of that.
        """
        with self.transaction() as connection:
            connection.executemany(
                f"INSERT INTO record ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
                " ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision,"
                " data = excluded.data, secret = excluded.secret, good = excluded.good,"
                " fallback = excluded.fallback",
                rows,
            )
            write_head(connection, head)
            write_log(connection, log)
            write_revoked(connection, revoked, at)
        self._reload_meta()

    def overlay(self, revoked: Sequence[str], at: int) -> None:
        """Remember keys as revoked although their batch could not be accepted."""
        with self.transaction() as connection:
            write_revoked(connection, revoked, at)

    def save(self, counters: Iterable[tuple[str, int, int]], **meta: int) -> None:
        """Write counters (name, used, mark in Unix milliseconds) and small facts beside them."""
        with self.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?, ?)", counters)
            write_meta(connection, meta)
        self.meta.update(meta)

    def set_meta(self, **values: str | int | bytes) -> None:
        """Keep small facts beside the state."""
        with self.transaction() as connection:
            write_meta(connection, values)
        self._reload_meta()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One local transaction; rolled back by any exception."""
        with self._write_lock:
            self._write.execute("BEGIN IMMEDIATE")
            try:
                yield self._write
            except BaseException:
                self._write.execute("ROLLBACK")
                raise
            self._write.execute("COMMIT")

    # ---- a new file ----

    def next_path(self) -> Path:
        """Where a snapshot is loaded to before it takes this file's place."""
        number = int(self._path.stem.removeprefix("state-")) + 1
        return self.directory / f"state-{number:06d}.db"

    @contextlib.contextmanager
    def swapping(self) -> Iterator[Path]:
        """Hold all writers, yield the current file, and open the newest one afterwards."""
        with self._write_lock:
            yield self._path
            with self._read_lock:
                old, self._path = self._path, self._newest_file()
                if self._path != old:
                    self._close_file()
                    self._open_file()
            _remove_others(self.directory, self._path)

    def close(self) -> None:
        """Close the files and give the folder free. A second call does nothing."""
        with self._write_lock, self._read_lock:
            self._close_file()
            if not self._folder_lock.closed:
                self._folder_lock.close()

    # ---- inside ----

    def _in_blocks(self, secret: bytes) -> Row | None:
        mark = b'"hash":"%b"' % secret.hex().encode()
        blocks = self._read.execute(_BLOCKS, (place_of(secret.hex().encode()),))
        for (lines,) in blocks.fetchall():
            row = _line_with(mark, lines)
            if row is not None:
                changed = self._read.execute(_BY_ID, (row.kind, row.id)).fetchone()
                return None if changed else row._replace(secret=secret)
        return None

    def _by_scan(self, key_id: str) -> Row | None:
        # Only for a key whose new record cannot be read at all, not even whose it is.
        mark = b'"id":"%b"' % key_id.encode()
        for (lines,) in self._read.execute("SELECT lines FROM block"):
            row = _line_with(mark, lines)
            if row is not None:
                return row._replace(secret=secret_in(row.data))
        return None

    def _newest_file(self) -> Path:
        files = sorted(self.directory.glob(_PATTERN))
        return files[-1] if files else self.directory / "state-000001.db"

    def _open_file(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            # Nothing here can be trusted any more; the portal has it all but the counters.
            logger.error("%s cannot be read (%s); starting from nothing", self._path, error)  # noqa: TRY400 - the text says it
            set_aside(self._path)
            self._connect()

    def _connect(self) -> None:
        _remove_others(self.directory, self._path)
        self._write = connect(self._path)
        try:
            if not _is_ready(self._write):
                self._write.executescript(f"BEGIN; {_TABLES} {_INDEXES} {_COMPLETE} COMMIT;")
            self._read = connect(self._path)
        except BaseException:
            self._write.close()
            raise
        self._reload_meta()

    def _begin_boot(self) -> None:
        oldest = int(time.time() * 1000) - COUNTERS_KEPT_MS  # noqa: TID251 - no clock yet
        with self.transaction() as connection:
            connection.execute("DELETE FROM counter WHERE at < ?", (oldest,))
            write_meta(connection, {"boot": int(self.meta.get("boot", 0)) + 1})
        self._reload_meta()

    def _reload_meta(self) -> None:
        with self._write_lock:
            rows = self._write.execute("SELECT name, value FROM meta").fetchall()
        self.meta: dict[str, Any] = dict(rows)
        self._head = _head_of(self.meta)

    def _close_file(self) -> None:
        # The last connection to close folds the write-ahead log into the file.
        self._read.close()
        self._write.close()


def secret_in(data: bytes) -> bytes | None:
    """The SHA-256 that a key is found by, also where the rest of its record cannot be read."""
    found = _HASH.search(data)
    return None if found is None else bytes.fromhex(found[1].decode())


def place_of(text: bytes, start: int = 0) -> int:
    """What a key in a block is indexed by: the first 60 bits of the hash in hex at `start`."""
    return int(text[start : start + _PLACE_DIGITS], 16)


def _line_with(mark: bytes, lines: bytes) -> Row | None:
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
    connection.executescript(_TABLES)


def create_indexes(connection: sqlite3.Connection) -> None:
    """The indexes; a file without them is not complete."""
    connection.executescript(_INDEXES + _COMPLETE)


def write_meta(connection: sqlite3.Connection, values: dict[str, Any]) -> None:
    """Set small facts."""
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def write_head(connection: sqlite3.Connection, head: Head) -> None:
    """Set the position."""
    fields = {**head._asdict(), "digest": f"{head.digest:064x}"}
    write_meta(connection, fields)


def write_log(connection: sqlite3.Connection, step: LogStep | None) -> None:
    """Extend the verified log and pin its key."""
    if step is None:
        return
    leaves = enumerate(step.leaves, step.start)
    connection.executemany("INSERT INTO log VALUES (?, ?)", leaves)
    pinned = {"log_origin": step.origin, "log_key": step.public_key, "log_text": step.checkpoint}
    write_meta(connection, pinned)


def write_revoked(connection: sqlite3.Connection, ids: Iterable[str], at: int) -> None:
    """Remember keys as revoked for 90 days from when that was first seen."""
    connection.executemany(
        "INSERT OR IGNORE INTO revoked VALUES (?, ?)", ((key_id, at) for key_id in ids)
    )
    connection.execute("DELETE FROM revoked WHERE seen_at < ?", (at - REVOKED_KEPT_SECONDS,))


def set_aside(path: Path) -> None:
    """Move an unreadable file out of the way, with its write-ahead log."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{path}{suffix}.unreadable")


def _is_ready(connection: sqlite3.Connection) -> bool:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise StoreFromTheFuture(f"the store has format {version}; this version knows {FORMAT}")
    return bool(version)


def _head_of(meta: dict[str, Any]) -> Head | None:
    if "epoch" not in meta:
        return None
    return Head(meta["epoch"], meta["revision"], meta["records"], int(meta["digest"], 16))


def _remove_others(directory: Path, keep: Path) -> None:
    # Older files lost to a swap, and what a killed load left behind.
    for file in directory.glob("state-*"):
        if not file.name.startswith(keep.name) and not file.name.endswith(".unreadable"):
            file.unlink(missing_ok=True)


def _lock_folder(directory: Path) -> Any:
    handle = (directory / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise StoreInUse(f"another process has {os.fspath(directory)} open") from error
    return handle
