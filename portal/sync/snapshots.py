"""A full snapshot, written to a file once and sent to whoever needs one (SYNC 4)."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import select

from plimsoll.contract.records import put_line
from portal.core.db import Sessions, snapshot
from portal.core.seal import SyncHead, SyncRecord
from portal.sync.hub import Head

ROWS = 5000
CHUNK_BYTES = 1 << 18
REUSE_REVISIONS = 1000


@dataclass(frozen=True)
class Snapshot:
    """An open file of `put` lines and their `commit` line, and the head it was taken at.

    The file's name may be gone already: who has it open reads on, and closes it.
    """

    head: Head
    file: BinaryIO

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.file.read(CHUNK_BYTES):
            yield chunk


class Snapshots:
    """Makes snapshots in `folder`, one at a time, and uses the newest again while a delta from it is cheap."""

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self._sessions = sessions
        self._folder = folder
        self._making = threading.Lock()
        self._newest: tuple[Head, Path] | None = None

    def open(self) -> Snapshot:
        """A snapshot that is at most a thousand revisions old."""
        with self._making:
            head = Head.read(self._sessions)
            if self._newest is None or not self._is_near(self._newest[0], head):
                self._newest = self._make()
            made_at, path = self._newest
            return Snapshot(head=made_at, file=path.open("rb"))

    def _is_near(self, made_at: Head, head: Head) -> bool:
        near = head.revision - made_at.revision <= REUSE_REVISIONS
        path = self._newest[1] if self._newest else None
        return near and made_at.epoch == head.epoch and path is not None and path.exists()

    def _make(self) -> tuple[Head, Path]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f"draft-{threading.get_native_id()}"
        # The read transaction ends before the first byte is sent, however slow the reader.
        with self._sessions() as session, snapshot(session), draft.open("wb") as file:
            columns = select(SyncHead.epoch, SyncHead.revision, SyncHead.count, SyncHead.digest)
            head = Head(*session.execute(columns).one())
            rows = session.execute(
                select(SyncRecord.kind, SyncRecord.id, SyncRecord.revision, SyncRecord.data),
                execution_options={"yield_per": ROWS},
            )
            for part in rows.partitions():
                lines = (put_line(kind, name, rev, data.encode()) for kind, name, rev, data in part)
                file.write(b"".join(lines))
            file.write(head.commit_line())
        for old in self._folder.glob("snapshot-*"):
            old.unlink(missing_ok=True)
        path = self._folder / f"snapshot-{head.epoch}-{head.revision}"
        return head, draft.rename(path)
