"""What travels down an open connection: hello, batches with their commit, heartbeats, bye (SYNC 2)."""

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from plimsoll.contract.records import bye_line, heartbeat_line, hello_line
from portal.core import clock
from portal.sync.errors import SnapshotRequired
from portal.sync.hub import Head, Hub
from portal.sync.snapshots import Snapshot

STREAM_SECONDS = 3600
RETRY_MS = (0, 4000)


@dataclass(frozen=True)
class Start:
    """Where an answer begins: after `since` of `epoch`, or with a whole snapshot."""

    epoch: str
    since: int
    head: int
    snapshot: Snapshot | None = None


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
        yield from start.snapshot.chunks()
        since = start.snapshot.head.revision
    try:
        batch = hub.batch(start.epoch, since, at_least=start.head)
        yield batch.lines + batch.head.commit_line()
        if then:
            yield from then(batch.head)
    except SnapshotRequired:
        yield bye_line(retry_ms=(0, 0), reason="snapshot_required")


def follow(head: Head, hub: Hub, *, is_welcome: Callable[[], bool]) -> Iterator[bytes]:
    """Each batch and heartbeat as it comes. `is_welcome` is asked at every heartbeat."""
    ends_at = time.monotonic() + STREAM_SECONDS
    beats_at = time.monotonic() + hub.heartbeat_seconds
    while True:
        if hub.wait(head, max(0.0, beats_at - time.monotonic())):
            if hub.is_stopping:
                yield bye_line(retry_ms=RETRY_MS, reason="deploy")
                return
            batch = hub.batch(head.epoch, head.revision)
            head = batch.head
            yield batch.lines + head.commit_line()
        # Due also where commits follow each other faster: the token is asked here.
        if time.monotonic() < beats_at:
            continue
        beats_at = time.monotonic() + hub.heartbeat_seconds
        yield heartbeat_line(rev=head.revision, digest=head.digest, now=clock.timestamp())
        if time.monotonic() >= ends_at or not is_welcome():
            yield bye_line(retry_ms=RETRY_MS, reason="ask again")
            return


def gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces compressed, each flushed, so that none waits for the next."""
    packer = zlib.compressobj(level=1, wbits=31)
    for piece in pieces:
        packed = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield packed
    yield packer.flush()
