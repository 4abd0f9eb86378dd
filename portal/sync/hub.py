"""Wakes watchers when the state moves, and reads each batch once for all of them (SYNC 4).

Commits of this process wake the hub directly; those of other processes are noticed by reading the head
every 20 ms while anybody watches. A watcher owns only its revision, so that a slow one harms nobody.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from plimsoll.contract.records import commit_line, put_line
from portal.core import clock
from portal.core.db import Sessions, reading, snapshot, wakeup_of
from portal.core.seal import SyncHead, SyncRecord
from portal.sync.errors import SnapshotRequired, StreamsFull

log = logging.getLogger(__name__)

POLL_SECONDS = 0.02
DELTA_MAX = 50_000
BATCHES_KEPT = 8
HEAD = select(SyncHead.epoch, SyncHead.revision, SyncHead.count, SyncHead.digest)


@dataclass(frozen=True)
class Head:
    """Where the state stands: epoch, revision, number of records, digest as 64 hex digits."""

    epoch: str
    revision: int
    count: int
    digest: str

    @classmethod
    def read(cls, sessions: Sessions) -> Self:
        with reading(sessions) as session:
            return cls(*session.execute(HEAD).one())

    def commit_line(self) -> bytes:
        now = clock.timestamp()
        return commit_line(rev=self.revision, count=self.count, digest=self.digest, now=now)


@dataclass(frozen=True)
class Batch:
    """The records after a revision as lines, and the head that they lead to."""

    lines: bytes
    head: Head


class Hub:
    """One per process. `places`: how many may watch at once."""

    def __init__(self, sessions: Sessions, *, places: int, heartbeat_seconds: float = 5.0) -> None:
        self.sessions = sessions
        self.heartbeat_seconds = heartbeat_seconds
        self._places = places
        self._watching = 0
        self._is_polling = self._is_blind = False
        self._head: Head | None = None
        self._moved = threading.Condition()
        self._batches: OrderedDict[tuple[str, int], Batch] = OrderedDict()
        self._reading = threading.Lock()
        self._stopping = False

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    @property
    def watching(self) -> int:
        """How many places are taken now."""
        return self._watching

    @property
    def places(self) -> int:
        """How many may watch at once."""
        return self._places

    def enter(self) -> Callable[[], None]:
        """Take a place; returns what gives it back, harmless when called twice. Raises StreamsFull."""
        with self._moved:
            if self._watching >= self._places or self._stopping:
                raise StreamsFull
            self._watching += 1
            if not self._is_polling:
                self._is_polling = True
                threading.Thread(target=self._poll, name="sync-hub", daemon=True).start()
        held = [1]

        def leave() -> None:
            with self._moved:
                if held:
                    self._watching -= held.pop()

        return leave

    def stop(self) -> None:
        """Let every watcher end its stream."""
        with self._moved:
            self._stopping = True
            self._moved.notify_all()

    def wait(self, seen: Head, timeout: float) -> bool:
        """Wait until the head is past `seen`, or the hub stops; False when time ran out."""
        with self._moved:
            return self._moved.wait_for(lambda: self._stopping or self.is_past(seen), timeout)

    def wait_until(self, holds: Callable[[], bool], timeout: float) -> None:
        """Wait until something holds that moves with the head, or with a nudge, or the hub stops."""
        with self._moved:
            self._moved.wait_for(lambda: self._stopping or holds(), timeout)

    def nudge(self) -> None:
        """Let those who wait look again."""
        with self._moved:
            self._moved.notify_all()

    def is_past(self, seen: Head) -> bool:
        """Whether the state has moved on from `seen`, as far as is known here."""
        head = self._head
        return head is not None and (head.epoch != seen.epoch or head.revision > seen.revision)

    def batch(self, epoch: str, since: int, *, at_least: int = 0) -> Batch:
        """What came after `since`, read once for all who ask. Raises SnapshotRequired.

        `at_least`: the revision that whoever asks has seen; what is known here may be a moment older.
        """
        with self._reading:
            known = self._batches.get((epoch, since))
            with self._moved:
                head = self._head
            is_old = known is None or head is None or known.head != head
            if known is None or is_old or known.head.revision < at_least:
                known = self._read(epoch, since)
                self._batches[epoch, since] = known
                while len(self._batches) > BATCHES_KEPT:
                    self._batches.popitem(last=False)
            return known

    def _read(self, epoch: str, since: int) -> Batch:
        with self.sessions() as session, snapshot(session):
            head = Head(*session.execute(HEAD).one())
            if head.epoch != epoch:
                raise SnapshotRequired
            rows = session.execute(
                select(SyncRecord.kind, SyncRecord.id, SyncRecord.revision, SyncRecord.data)
                .where(SyncRecord.revision > since)
                .order_by(SyncRecord.revision, SyncRecord.kind, SyncRecord.id)
                .limit(DELTA_MAX + 1)
            ).all()
        if len(rows) > DELTA_MAX:
            raise SnapshotRequired
        lines = b"".join(
            put_line(kind, record_id, rev, data.encode()) for kind, record_id, rev, data in rows
        )
        return Batch(lines=lines, head=head)

    def _poll(self) -> None:
        wakeup = wakeup_of(self.sessions)
        seen = -1
        while True:
            head = self._look()
            with self._moved:
                if head not in {None, self._head}:
                    self._head = head
                    self._moved.notify_all()
                if self._watching == 0 or self._stopping:
                    self._head, self._is_polling = None, False
                    return
            seen = wakeup.wait(seen, POLL_SECONDS)

    def _look(self) -> Head | None:
        try:
            head = Head.read(self.sessions)
        except SQLAlchemyError as error:
            # Watchers must outlive a database that restarts: heartbeats go on, and we look again.
            if not self._is_blind:
                log.warning("the head cannot be read: %s", error)
            self._is_blind = True
            return None
        self._is_blind = False
        return head
