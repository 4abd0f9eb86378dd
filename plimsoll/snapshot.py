"""Loading a whole state into a new file, which takes the old one's place when it adds up.

The new file needs no safety of its own until then: a killed load leaves a file without the mark
of a complete one, which the next start removes. Log, counters, spool, revocations once seen and the
small facts are carried over from the old file at the moment of the swap.
"""

import contextlib
import hashlib
import os
import sqlite3
from pathlib import Path

import orjson

from plimsoll import tables
from plimsoll.contract.records import DIGEST_MODULUS, Put, record_hash
from plimsoll.errors import DigestMismatch, ProtocolError
from plimsoll.reading import Nack, is_revoked, row_of
from plimsoll.store import Store
from plimsoll.tables import Head, LogStep, place_of
from plimsoll.wire import Commit, parse_line

_KEY = b'{"t":"put","kind":"key","id":"'
_DATA = b',"data":'
_HASH = b'"hash":"'
_INSERT = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_BLOCK = "INSERT INTO block VALUES (?, ?)"
# The places of a whole block in one statement: a statement for each takes three times as long.
_INSERT_PLACES = "INSERT INTO place SELECT value, ? FROM json_each(?)"
_BLOCK_LINES = 64
# No journal and no syncing while it loads; one sync before the file counts.
_LOADING = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"
_CARRIED = """
INSERT INTO meta SELECT * FROM old.meta WHERE true ON CONFLICT DO NOTHING;
INSERT INTO log SELECT * FROM old.log;
INSERT INTO counter SELECT * FROM old.counter;
INSERT OR REPLACE INTO revoked SELECT * FROM old.revoked;
INSERT INTO usage SELECT * FROM old.usage;
INSERT INTO metered SELECT * FROM old.metered ORDER BY rowid;
INSERT INTO batch SELECT * FROM old.batch;
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
        self._blocks = 0
        self._path = store.next_path()
        self._loading = Path(f"{self._path}.loading")
        self._loading.unlink(missing_ok=True)
        self._file = sqlite3.connect(self._loading, isolation_level=None, check_same_thread=False)
        self._file.executescript(_LOADING)
        tables.create_tables(self._file)
        self._file.execute("BEGIN")

    def add(self, lines: list[bytes]) -> None:
        """Take lines after the hello, without their LF, up to the first commit.

        What follows that is news, which the open stream will bring again.

        Raises:
            ProtocolError: a line cannot be read.
        """
        try:
            keys, places = self._take(lines)
        except ValueError as error:
            raise ProtocolError("a line of the snapshot cannot be read") from error
        for start in range(0, len(keys), _BLOCK_LINES):
            part = slice(start, start + _BLOCK_LINES)
            self._blocks += 1
            self._file.execute(_INSERT_BLOCK, (self._blocks, b"\n".join(keys[part])))
            self._file.execute(_INSERT_PLACES, (self._blocks, orjson.dumps(places[part]).decode()))

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
        tables.create_indexes(self._file)
        with self._store.swapping() as old:
            self._file.execute("BEGIN")
            tables.write_head(self._file, head)
            tables.write_revoked(self._file, self.revoked, at)
            self._file.execute("COMMIT")
            self._file.execute("ATTACH ? AS old", (str(old),))
            self._file.executescript(_CARRIED)
            self._file.execute("DETACH old")
            tables.write_log(self._file, log)
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

    def _take(self, lines: list[bytes]) -> tuple[list[bytes], list[int]]:
        """Count the lines in; answers those of keys, with where they will be looked for."""
        # A million lines pass here, nearly all of them keys: these are hashed without the general
        # parser, and what their records say is read when a key is used.
        sha256, number, total = hashlib.sha256, int.from_bytes, 0
        keys, places = [], []
        for line in lines:
            place = _place_in(line)
            if place is None:
                self._take_other(line)
                if self.commit is not None:
                    break
                continue
            id_end = line.index(b'"', len(_KEY))
            data_at = line.index(_DATA, id_end) + len(_DATA)
            hashed = b"key\n" + line[len(_KEY) : id_end] + b"\n" + line[data_at:-1]
            total += number(sha256(hashed).digest())
            if b'"revoked"' in line:
                self._note_revoked(line)
            keys.append(line)
            places.append(place)
        self._sum += total
        self._records += len(keys)
        return keys, places

    def _note_revoked(self, line: bytes) -> None:
        message = parse_line(line)
        if isinstance(message, Put) and is_revoked(message):
            self.revoked.append(message.id)

    def _take_other(self, line: bytes) -> None:
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
        row = row_of(message, old, known_tiers=self._known_tiers, nacks=self.nacks)
        self._file.execute(_INSERT, row)


def _place_in(line: bytes) -> int | None:
    """Where a key will be looked for; None for other records, and for keys without a hash."""
    if not line.startswith(_KEY):
        return None
    start = line.find(_HASH)
    try:
        return place_of(line, start + len(_HASH)) if start > 0 else None
    except ValueError:
        return None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
