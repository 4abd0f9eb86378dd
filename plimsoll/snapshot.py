"""Loading a whole state into a new file, which takes the old one's place when it adds up.

The new file needs no safety of its own until then: a killed load leaves a file without the mark
of a complete one, which the next start removes. Log, counters, revocations once seen and the
small facts are carried over from the old file at the moment of the swap.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from plimsoll import store as files
from plimsoll.contract.records import DIGEST_MODULUS, Put, record_hash
from plimsoll.errors import DigestMismatch, ProtocolError
from plimsoll.reading import Nack, is_revoked, row_of, secret_in
from plimsoll.store import Head, LogStep, Row, Store
from plimsoll.wire import Commit, parse_line

_KEY = b'{"t":"put","kind":"key","id":"'
_INSERT = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)"
# No journal and no syncing while it loads; one sync before the file counts.
_LOADING = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"
_CARRIED = """
INSERT INTO meta SELECT * FROM old.meta WHERE true ON CONFLICT DO NOTHING;
INSERT INTO log SELECT * FROM old.log;
INSERT INTO counter SELECT * FROM old.counter;
INSERT OR REPLACE INTO revoked SELECT * FROM old.revoked;
"""


class Snapshot:
    """One load: `add` lines, then `Replica.swap`, or `abandon`."""

    def __init__(self, store: Store, epoch: str, *, known_tiers: frozenset[str]) -> None:
        """Begin a new file beside the present one."""
        self.epoch = epoch
        self.commit: Commit | None = None
        self.nacks: list[Nack] = []
        self.revoked: list[str] = []
        # The log is small and is needed in memory to be verified.
        self.log_records: dict[tuple[str, str], Put] = {}
        self._known_tiers = known_tiers
        self._store = store
        self._records = 0
        self._sum = 0
        self._path = store.next_path()
        self._loading = Path(f"{self._path}.loading")
        self._loading.unlink(missing_ok=True)
        self._file = sqlite3.connect(self._loading, isolation_level=None, check_same_thread=False)
        self._file.executescript(_LOADING)
        files.create_tables(self._file)
        self._file.execute("BEGIN")

    def add(self, lines: list[bytes]) -> None:
        """Take lines after the hello, without their LF, up to the first commit.

        What follows that is news, which the open stream will bring again.

        Raises:
            ProtocolError: a line cannot be read.
        """
        try:
            self._file.executemany(_INSERT, self._rows(lines))
        except ValueError as error:
            raise ProtocolError("a line of the snapshot cannot be read") from error

    def verify(self) -> Head:
        """The position after all lines.

        Raises:
            DigestMismatch: digest or number of records is not what the last commit says.
        """
        digest, commit = self._sum % DIGEST_MODULUS, self.commit
        if commit is None or (digest, self._records) != (commit.digest, commit.records):
            raise DigestMismatch(f"a snapshot of {self._records} records does not add up")
        return Head(self.epoch, commit.rev, self._records, digest)

    def swap(self, head: Head, *, log: LogStep | None, at: int) -> None:
        """Finish the file and put it in the place of the present one."""
        self._file.execute("COMMIT")
        files.create_indexes(self._file)
        with self._store.swapping() as old:
            self._file.execute("BEGIN")
            files.write_head(self._file, head)
            files.write_revoked(self._file, self.revoked, at)
            self._file.execute("COMMIT")
            self._file.execute("ATTACH ? AS old", (str(old),))
            self._file.executescript(_CARRIED)
            self._file.execute("DETACH old")
            files.write_log(self._file, log)
            self._file.close()
            _sync(self._loading)
            self._loading.rename(self._path)
            _sync(self._path.parent)

    def abandon(self) -> None:
        """Drop what was loaded; the present state stays."""
        with contextlib.suppress(sqlite3.ProgrammingError):
            self._file.interrupt()
        self._file.close()
        self._loading.unlink(missing_ok=True)

    def _rows(self, lines: list[bytes]) -> Iterator[tuple[object, ...]]:
        # A million lines pass here, nearly all of them keys: their rows are made without the
        # general parser, and what their records say is read when a key is used.
        sha256, number, total = hashlib.sha256, int.from_bytes, 0
        for line in lines:
            if not line.startswith(_KEY):
                yield from self._others(line)
                if self.commit is not None:
                    break
                continue
            head, _, data = line.partition(b',"data":')
            key_id, _, rev = head[len(_KEY) :].partition(b'","rev":')
            data = data[:-1]
            total += number(sha256(b"key\n" + key_id + b"\n" + data).digest())
            self._records += 1
            if b'"revoked"' in data and is_revoked(Put("key", key_id.decode(), 0, data)):
                self.revoked.append(key_id.decode())
            yield ("key", key_id.decode(), int(rev), data, secret_in(data), None, None)
        self._sum += total

    def _others(self, line: bytes) -> Iterator[Row]:
        message = parse_line(line)
        if isinstance(message, Commit):
            self.commit = message
        if not isinstance(message, Put):
            return
        self._sum += int.from_bytes(record_hash(message.kind, message.id, message.data))
        self._records += 1
        if message.kind in {"entry", "checkpoint"}:
            self.log_records[message.kind, message.id] = message
        old = self._store.find(message.kind, message.id)
        yield row_of(message, old, known_tiers=self._known_tiers, nacks=self.nacks)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
