"""What travels down an open connection: hello, batches with their commit, heartbeats, bye (SYNC 2)."""

import logging
import time
import zlib
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from plimsoll.contract.records import bye_line, heartbeat_line, hello_line
from portal.core import clock
from portal.core.db import Sessions, reading
from portal.core.secrets import digest
from portal.sync import queries
from portal.sync.errors import SnapshotRequired
from portal.sync.hub import Batch, Head, Hub
from portal.sync.snapshots import BrokenOff, Snapshot

log = logging.getLogger(__name__)

STREAM_SECONDS = 3600
RETRY_MS = (0, 4000)
# Until a state is looked for again that could not be read.
BLIND_SECONDS = 0.2


@dataclass(frozen=True)
class Start:
    """Where an answer begins: after `since` of `epoch`, or with a whole snapshot."""

    epoch: str
    since: int
    head: int
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Stay:
    """How long a stream may go on: an hour, and while its token is valid. Judged at every heartbeat."""

    token: str
    ends_at: float

    @classmethod
    def begin(cls, token: str) -> Self:
        return cls(digest(token), time.monotonic() + STREAM_SECONDS)

    def is_over(self, valid: AbstractSet[str] | None) -> bool:
        """`valid`: what `find_valid_tokens` found."""
        return time.monotonic() >= self.ends_at or (valid is not None and self.token not in valid)


def find_valid_tokens(sessions: Sessions) -> set[str] | None:
    """The digests of all tokens that are valid now; None while the database is away: refuse nobody then."""
    try:
        with reading(sessions) as session:
            return queries.list_valid_tokens(session)
    except SQLAlchemyError:
        # No state can be read meanwhile; once the database answers again, the next heartbeat asks it.
        return None


Follow = Callable[[Head], Iterator[bytes]]


def lines(hub: Hub, start: Start, *, then: Follow | None) -> Iterator[bytes]:
    """The answer, in pieces that are each flushed; `then` has what follows once the state is told."""
    seconds = round(hub.heartbeat_seconds)
    yield hello_line(
        epoch=start.epoch,
        since=start.since,
        head=start.head,
        heartbeat=seconds,
        now=clock.timestamp(),
    )
    since = start.since
    if start.snapshot:
        try:
            yield from start.snapshot.chunks()
        except BrokenOff:
            return  # its writer has said why; who hears no commit asks again
        since = start.snapshot.head.revision
    try:
        batch = hub.batch(start.epoch, since, at_least=start.head)
        yield batch.lines + batch.head.commit_line()
        if then:
            yield from then(batch.head)
    except SnapshotRequired:
        yield bye_line(retry_ms=(0, 0), reason="snapshot_required")


def follow(head: Head, hub: Hub, *, token: str) -> Iterator[bytes]:
    """Each batch and heartbeat as it comes, for a stream with a thread of its own; `fan.py` has the others."""
    stay = Stay.begin(token)
    beats_at = time.monotonic() + hub.heartbeat_seconds
    while True:
        if hub.wait(head, max(0.0, beats_at - time.monotonic())):
            if hub.is_stopping:
                yield bye_line(retry_ms=RETRY_MS, reason="deploy")
                return
            batch = _read(hub, head)
            if batch:
                head = batch.head
                yield batch.lines + head.commit_line()
        # Due also where commits follow each other faster: the token is asked here.
        if time.monotonic() < beats_at:
            continue
        beats_at = time.monotonic() + hub.heartbeat_seconds
        yield heartbeat_line(rev=head.revision, digest=head.digest, now=clock.timestamp())
        if stay.is_over(find_valid_tokens(hub.sessions)):
            yield bye_line(retry_ms=RETRY_MS, reason="ask again")
            return


def _read(hub: Hub, head: Head) -> Batch | None:
    try:
        return hub.batch(head.epoch, head.revision)
    except SQLAlchemyError as error:
        # Streams must outlive a database that restarts: heartbeats go on meanwhile.
        log.warning("a stream waits for the database: %s", error)
        time.sleep(BLIND_SECONDS)
        return None


def gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces compressed, each flushed, so that none waits for the next."""
    packer = zlib.compressobj(level=1, wbits=31)
    for piece in pieces:
        packed = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield packed
    yield packer.flush()
