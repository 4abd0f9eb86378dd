"""A gateway's durable copy of the state: SQLite in a folder of its own (SYNC.md section 3).

Records are kept as the text that was received. Records, cursor and verified log change in one
transaction, so that a kill at any instant leaves a state that the portal once had. A snapshot is
loaded into a new file beside the old one; opening takes the newest complete file, which makes
the renaming of a finished file the instant of the swap.
"""

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from plimsoll import tables
from plimsoll.errors import StoreInUse, StoreUnusable
from plimsoll.tables import Head, LogStep, Row

logger = logging.getLogger(__name__)

# Longer than the longest window; what is older says nothing any more.
COUNTERS_KEPT_MS = 62 * 86_400_000

_PATTERN = "state-*.db"
# What SQLite says of a file that is not what it should be; extended codes begin with these 8 bits.
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY = 0xFF
_COLUMNS = "kind, id, revision, data, secret, good, fallback"
_BY_SECRET = f"SELECT {_COLUMNS} FROM record WHERE secret = ?"  # noqa: S608 - constants
_BY_ID = f"SELECT {_COLUMNS} FROM record WHERE kind = ? AND id = ?"  # noqa: S608 - constants
_BLOCKS = "SELECT lines FROM block WHERE number IN (SELECT block FROM place WHERE secret = ?)"


class Store:
    """The state folder, open. Safe to use from several threads; closed by `close()`."""

    _write: sqlite3.Connection
    _read: sqlite3.Connection

    def __init__(self, directory: str | Path) -> None:
        """Open or create the folder; takes milliseconds, whatever the number of records.

        Raises:
            StoreInUse: another process has it open.
            StoreFromTheFuture: a newer version wrote it.
            StoreUnusable: its files cannot be opened, as on a full disk; they are left alone.
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

    def ask(self, query: str) -> Any:
        """The first row of a small question, None where there is none."""
        with self._read_lock:
            return self._read.execute(query).fetchone()

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
            tables.write_head(connection, head)
            tables.write_log(connection, log)
            tables.write_revoked(connection, revoked, at)
        self._reload_meta()

    def overlay(self, revoked: Sequence[str], at: int) -> None:
        """Remember keys as revoked although their batch could not be accepted."""
        with self.transaction() as connection:
            tables.write_revoked(connection, revoked, at)

    def save(
        self,
        counters: Iterable[tuple[str, int, int]],
        *,
        also: Callable[[sqlite3.Connection], object] | None = None,
        **meta: int,
    ) -> None:
        """Write counters (name, used, mark in Unix milliseconds) and small facts beside them.

        `also` writes more in the same transaction.
        """
        with self.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?, ?)", counters)
            tables.write_meta(connection, meta)
            if also is not None:
                also(connection)
        self.meta.update(meta)

    def set_meta(self, **values: str | int | bytes) -> None:
        """Keep small facts beside the state."""
        with self.transaction() as connection:
            tables.write_meta(connection, values)
        self._reload_meta()

    def take_boot(self, boot: int) -> None:
        """Go on as a later boot than ours, since the portal knows of later ones (EXACT.md 29)."""
        if boot > self.boot:
            self.set_meta(boot=boot)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One local transaction; rolled back by any exception. A kill cannot undo it; `sync` says what else can."""
        with self._write_lock:
            self._write.execute("BEGIN IMMEDIATE")
            try:
                yield self._write
                self._write.execute("COMMIT")
            except BaseException:
                # Some failures, of a full disk or of COMMIT, have ended it already; others have not.
                if self._write.in_transaction:
                    self._write.execute("ROLLBACK")
                raise

    def sync(self) -> None:
        """Have all that was committed on disk, also if the power fails.

        Others write meanwhile: no revocation waits for a disk that takes its time.
        """
        with self._write_lock:
            # What is in no such file any more was synced when it left it.
            try:
                handle = os.open(f"{self._path}-wal", os.O_RDONLY)
            except FileNotFoundError:
                return
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file; called every ten seconds.

        Else a commit has to, and what it brings waits for three syncs. Others write meanwhile.
        """
        with contextlib.closing(tables.connect(self._path)) as own:
            own.execute("PRAGMA wal_checkpoint(PASSIVE)")

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
            newest = self._newest_file()
            if newest != self._path:
                self._move_to(newest)
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
        blocks = self._read.execute(_BLOCKS, (tables.place_of(secret.hex().encode()),))
        for (lines,) in blocks.fetchall():
            row = tables.line_with(mark, lines)
            if row is not None:
                changed = self._read.execute(_BY_ID, (row.kind, row.id)).fetchone()
                return None if changed else row._replace(secret=secret)
        return None

    def _by_scan(self, key_id: str) -> Row | None:
        # Only for a key whose new record cannot be read at all, not even whose it is.
        mark = b'"id":"%b"' % key_id.encode()
        for (lines,) in self._read.execute("SELECT lines FROM block"):
            row = tables.line_with(mark, lines)
            if row is not None:
                return row._replace(secret=tables.secret_in(row.data))
        return None

    def _newest_file(self) -> Path:
        files = sorted(self.directory.glob(_PATTERN))
        return files[-1] if files else self.directory / "state-000001.db"

    def _open_file(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            # A full disk, or no leave to read: what lies there is as good as ever.
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY not in _BROKEN:
                raise StoreUnusable(f"{self._path} cannot be used: {error}") from error
            # Nothing here can be trusted any more; the portal has it all but the counters.
            logger.error("%s cannot be read (%s); starting from nothing", self._path, error)  # noqa: TRY400 - the text says it
            _set_aside(self._path)
            self._connect()
        _remove_others(self.directory, self._path)

    def _move_to(self, path: Path) -> None:
        """Go on in another file; in the present one where that cannot be opened, as on a full disk."""
        with self._read_lock:
            old = self._path, self._write, self._read
            self._path = path
            try:
                self._connect()
            except BaseException:
                self._path, self._write, self._read = old
                path.unlink()
                raise
            for connection in old[1:]:
                connection.close()

    def _connect(self) -> None:
        self._write = tables.connect(self._path)
        try:
            if not tables.is_complete(self._write):
                tables.create_all(self._write)
            tables.create_spool(self._write)
            self._read = tables.connect(self._path)
        except BaseException:
            self._write.close()
            raise
        self._reload_meta()

    def _begin_boot(self) -> None:
        oldest = int(time.time() * 1000) - COUNTERS_KEPT_MS  # noqa: TID251 - no clock yet
        try:
            with self.transaction() as connection:
                connection.execute("DELETE FROM counter WHERE at < ?", (oldest,))
                tables.write_meta(connection, {"boot": int(self.meta.get("boot", 0)) + 1})
        except sqlite3.OperationalError as error:
            if "boot" not in self.meta:
                raise StoreUnusable(f"{self._path} cannot be written: {error}") from error
            # Serving from what is there is worth more than a number: batches go on in this boot.
            logger.error("%s cannot be written (%s); serving from it", self._path, error)  # noqa: TRY400 - the text says it
        self._reload_meta()

    def _reload_meta(self) -> None:
        with self._write_lock:
            rows = self._write.execute("SELECT name, value FROM meta").fetchall()
        self.meta: dict[str, Any] = dict(rows)
        self._head = tables.head_of(self.meta)

    def _close_file(self) -> None:
        # The last connection to close folds the write-ahead log into the file.
        self._read.close()
        self._write.close()


def _set_aside(path: Path) -> None:
    # With its write-ahead log, which belongs to no other file.
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{path}{suffix}.unreadable")


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
