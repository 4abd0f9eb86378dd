"""A full snapshot, written to a file once and sent to whoever needs one (SYNC 4)."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.records import put_line
from portal.core.db import Sessions, snapshot
from portal.core.seal import SyncHead, SyncRecord
from portal.sync.hub import Head

ROWS = 5000
CHUNK_BYTES = 1 << 18
REUSE_REVISIONS = 1000


@dataclass(frozen=True)
class Snapshot:
    """`put` lines and their `commit` line in an open file, and the head they were taken at."""

    head: Head
    descriptor: int

    def chunks(self) -> Iterator[bytes]:
        # Read by offset, since those who share a file share its position.
        offset = 0
        while chunk := os.pread(self.descriptor, CHUNK_BYTES, offset):
            yield chunk
            offset += len(chunk)
            time.sleep(0)  # a quick reader's socket takes all, and others wait for their turn

    def again(self) -> "Snapshot":
        """The same for one more reader, who closes it."""
        return Snapshot(self.head, os.dup(self.descriptor))

    def close(self) -> None:
        os.close(self.descriptor)


class Snapshots:
    """Makes snapshots in `folder`, one at a time, and uses the newest again while a delta from it is cheap.

    The file has no name: nothing is left of it when the process ends, however it ends.
    """

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self._sessions = sessions
        self._folder = folder
        self._making = threading.Lock()
        self._newest: Snapshot | None = None

    def open(self, *, at_least: int = 0) -> Snapshot:
        """A snapshot that is at most a thousand revisions old, and not before revision `at_least`.

        Who has that revision would fall behind itself: keys issued since would be unknown for a moment.
        """
        with self._making:
            if self._newest is None or not self._is_near(self._newest.head, at_least):
                made = self._make()
                if self._newest:
                    self._newest.close()
                self._newest = made
            return self._newest.again()

    def _is_near(self, made_at: Head, at_least: int) -> bool:
        head = Head.read(self._sessions)
        # After a restored backup somebody may have more than there is.
        oldest = max(head.revision - REUSE_REVISIONS, min(at_least, head.revision))
        return made_at.epoch == head.epoch and made_at.revision >= oldest

    def _make(self) -> Snapshot:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The read transaction ends before the first byte is sent, however slow the reader.
        with (
            self._sessions() as session,
            snapshot(session),
            tempfile.TemporaryFile(dir=self._folder) as file,
        ):
            head = self._write(session, file)
            file.flush()
            return Snapshot(head, os.dup(file.fileno()))

    def _write(self, session: Session, file: IO[bytes]) -> Head:
        columns = select(SyncHead.epoch, SyncHead.revision, SyncHead.count, SyncHead.digest)
        head = Head(*session.execute(columns).one())
        records = select(SyncRecord.kind, SyncRecord.id, SyncRecord.revision, SyncRecord.data)
        # On the connection: the session's own loading takes as long again for a million rows.
        rows = session.connection().execute(records.execution_options(yield_per=ROWS))
        for part in rows.partitions():
            lines = (put_line(kind, name, rev, data.encode()) for kind, name, rev, data in part)
            file.write(b"".join(lines))
            time.sleep(0)  # the turn of everyone else, also where all share one thread
        file.write(head.commit_line())
        return head
