"""A full snapshot, written to a file once and sent to whoever needs one (SYNC 4), and already while it grows."""

import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.records import put_line
from portal.core.db import Sessions, snapshot
from portal.core.seal import SyncHead, SyncRecord
from portal.sync.hub import Head

log = logging.getLogger(__name__)

ROWS = 5000
CHUNK_BYTES = 1 << 18
REUSE_REVISIONS = 1000


class Growth:
    """A file without a name while it is written, for those who read it meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 -- `end` closes it
        self._changed = threading.Condition()
        self._size = 0
        self._is_over = self.has_failed = False

    def append(self, data: bytes) -> None:
        """Write more, which can be read from now on."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        with self._changed:
            self._size += len(data)
            self._changed.notify_all()

    def reader(self) -> int:
        """A descriptor of the file, for the caller to close. Only before its end."""
        return os.dup(self._file.fileno())

    def end(self, *, failed: bool) -> None:
        """Nothing more is written. What was written in vain is given back to the disk at once."""
        with self._changed:
            self._is_over, self.has_failed = True, failed
            self._changed.notify_all()
        with self._file, suppress(OSError):
            if failed:
                self._file.truncate(0)

    def wait(self) -> None:
        """Until nothing more is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over)

    def after(self, offset: int) -> int:
        """The bytes that can be read, once they are more than `offset`; at the end of the file, `offset`.

        Raises:
            BrokenOff: the writer has failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._size > offset or self._is_over)
            if self.has_failed:
                raise BrokenOff
            return self._size


class BrokenOff(Exception):
    """The snapshot could not be written to its end. Its reader hears no commit, and asks again."""


@dataclass(frozen=True)
class Snapshot:
    """`put` lines and their `commit` line in an open file, and the head they were taken at."""

    head: Head
    descriptor: int
    growth: Growth

    def chunks(self) -> Iterator[bytes]:
        """The lines so far, then more as they are written.

        Raises:
            BrokenOff: there will be no more, and those that came are not all.
        """
        offset = 0
        while (size := self.growth.after(offset)) > offset:
            # Read by offset, since those who share a file share its position.
            chunk = os.pread(self.descriptor, min(size - offset, CHUNK_BYTES), offset)
            yield chunk
            offset += len(chunk)
            time.sleep(0)  # a quick reader's socket takes all, and others wait for their turn

    def again(self) -> "Snapshot":
        """The same for one more reader, who closes it."""
        return Snapshot(self.head, os.dup(self.descriptor), self.growth)

    def close(self) -> None:
        os.close(self.descriptor)


class Snapshots:
    """Makes snapshots in `folder`, one at a time, and uses the newest again while a delta from it is cheap.

    The file has no name: nothing is left of it when the process ends, however it ends.
    """

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self._sessions = sessions
        self._folder = folder
        self._beginning = threading.Lock()
        self._newest: Snapshot | None = None

    def open(self, *, at_least: int = 0) -> Snapshot:
        """A snapshot that is at most a thousand revisions old, and not before revision `at_least`.

        Who has that revision would fall behind itself: keys issued since would be unknown for a moment.
        """
        with self._beginning:
            newest = self._newest
            if newest is None or newest.growth.has_failed or not self._is_near(newest, at_least):
                if newest:
                    newest.growth.wait()
                self._newest = self._begin()
                if newest:
                    newest.close()
                newest = self._newest
            return newest.again()

    def _is_near(self, made: Snapshot, at_least: int) -> bool:
        head = Head.read(self._sessions)
        # After a restored backup somebody may have more than there is.
        oldest = max(head.revision - REUSE_REVISIONS, min(at_least, head.revision))
        return made.head.epoch == head.epoch and made.head.revision >= oldest

    def _begin(self) -> Snapshot:
        """One that is being written: sent meanwhile, a million keys arrive in little more time than they are stored."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        head: Future[Head] = Future()
        growth = Growth(self._folder)
        descriptor = growth.reader()
        try:
            threading.Thread(
                target=self._make, args=(growth, head), name="snapshot", daemon=True
            ).start()
            return Snapshot(head.result(), descriptor, growth)
        except BaseException:
            os.close(descriptor)
            raise

    def _make(self, growth: Growth, head: Future[Head]) -> None:
        failed = True
        try:
            with self._sessions() as session, snapshot(session):
                columns = select(SyncHead.epoch, SyncHead.revision, SyncHead.count, SyncHead.digest)
                head.set_result(Head(*session.execute(columns).one()))
                _write(session, growth)
            growth.append(head.result().commit_line())
            failed = False
        except Exception as error:
            if head.done():
                log.exception("a snapshot could not be written")
            else:
                head.set_exception(error)
        finally:
            if not head.done():
                head.set_exception(BrokenOff())
            growth.end(failed=failed)


def _write(session: Session, growth: Growth) -> None:
    records = select(SyncRecord.kind, SyncRecord.id, SyncRecord.revision, SyncRecord.data)
    # On the connection: the session's own loading takes as long again for a million rows.
    with session.connection().execute(records.execution_options(yield_per=ROWS)) as rows:
        for part in rows.partitions():
            lines = (put_line(kind, name, rev, data.encode()) for kind, name, rev, data in part)
            growth.append(b"".join(lines))
            time.sleep(0)  # the turn of everyone else, also where all share one thread
