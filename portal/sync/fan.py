"""All open streams of a process in one loop, for servers that hand their connections over (`handover.py`).

A thread or greenlet for each stream costs tens of kilobytes, and a change would wake each by itself. Here
a stream is an open file and a place in a group of those that stand at one head: what comes next is framed
once for all of them, and written to each without waiting. Who does not take it at once is waited for by
itself, and asks for what came meanwhile from its own cursor, so that a slow one harms nobody.
"""

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from plimsoll.contract.records import bye_line, heartbeat_line
from portal.core import clock
from portal.sync.errors import SnapshotRequired
from portal.sync.hub import Head, Hub
from portal.sync.stream import BLIND_SECONDS, RETRY_MS, Stay, find_valid_tokens

log = logging.getLogger(__name__)

# Heartbeats come in so many turns: heard by all at once, they would be answered by all at once.
TURNS = 5
SLOW_SECONDS = 30.0


@dataclass(slots=True, eq=False)
class Stream:
    """One open connection, ours alone. `is_over`: it must leave as soon as it can be told."""

    descriptor: int
    stay: Stay
    is_chunked: bool
    leave: Callable[[], None]
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class _Message:
    raw: bytes
    chunked: bytes

    @classmethod
    def of(cls, lines: bytes) -> "_Message":
        return cls(lines, b"%x\r\n%b\r\n" % (len(lines), lines))

    @classmethod
    def bye(cls, reason: str, retry_ms: tuple[int, int] = RETRY_MS) -> "_Message":
        made = cls.of(bye_line(retry_ms=retry_ms, reason=reason))
        return cls(made.raw, made.chunked + b"0\r\n\r\n")

    def to(self, stream: Stream) -> bytes:
        return self.chunked if stream.is_chunked else self.raw


class Fan:
    """One per process; its loop starts with the first stream."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._groups: dict[Head, set[Stream]] = {}
        self._joining: deque[tuple[Stream, Head]] = deque()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._turn = 0
        # Slow ones, each with a thread that waits for it.
        self._apart: set[Stream] = set()

    def take(self, stream: Stream, head: Head) -> None:
        """Go on with a connection that has heard everything up to `head`."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="sync-fan", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system has no more threads; the next one tries again
                    _close(stream)
                    raise
                self._thread = thread
        self._joining.append((stream, head))
        self._hub.nudge()

    def wait(self, seconds: float) -> None:
        """Wait for the loop's end, after the hub has stopped."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        beats_at = time.monotonic()
        while not self._hub.is_stopping:
            self._hub.wait_until(self._has_work, max(0.0, beats_at - time.monotonic()))
            self._let_in()
            is_well = _goes_well(self._spread)
            if time.monotonic() >= beats_at:
                beats_at = time.monotonic() + self._hub.heartbeat_seconds / TURNS
                is_well &= _goes_well(self._beat)
            if not is_well:
                time.sleep(BLIND_SECONDS)
        self._let_in()
        for group in self._groups.values():
            self._end(group, _Message.bye("deploy"))

    def _has_work(self) -> bool:
        return bool(self._joining) or any(map(self._hub.is_past, self._groups))

    def _let_in(self) -> None:
        while self._joining:
            stream, head = self._joining.popleft()
            self._apart.discard(stream)
            if stream.is_over:
                self._end({stream}, _Message.bye("ask again"))
            else:
                self._groups.setdefault(head, set()).add(stream)

    def _spread(self) -> None:
        """Bring every group that is behind to where the state stands."""
        for head in [head for head in self._groups if self._hub.is_past(head)]:
            try:
                batch = self._hub.batch(head.epoch, head.revision)
            except SnapshotRequired:
                bye = _Message.bye("snapshot_required", retry_ms=(0, 0))
                self._end(self._groups.pop(head), bye)
                continue
            message = _Message.of(batch.lines + batch.head.commit_line())
            self._send(self._groups[head], message, head=batch.head)
            group = self._groups.pop(head)
            self._groups.setdefault(batch.head, set()).update(group)

    def _beat(self) -> None:
        """The heartbeat of those whose turn it is; here tokens are asked for (SYNC 2)."""
        self._turn = (self._turn + 1) % TURNS
        self._groups = {head: group for head, group in self._groups.items() if group}
        if not self._groups and not self._apart:
            return
        valid, now = find_valid_tokens(self._hub.sessions), clock.timestamp()
        # One that is slow at every heartbeat must leave all the same.
        for stream in self._apart.copy():
            stream.is_over |= stream.stay.is_over(valid)
        for head, group in self._groups.items():
            due = {stream for stream in group if stream.descriptor % TURNS == self._turn}
            leaving = {stream for stream in due if stream.stay.is_over(valid)}
            group.difference_update(leaving)
            self._end(leaving, _Message.bye("ask again"))
            line = heartbeat_line(rev=head.revision, digest=head.digest, now=now)
            self._send(group, _Message.of(line), head=head, only=due - leaving)

    def _send(
        self,
        group: set[Stream],
        message: _Message,
        *,
        head: Head,
        only: set[Stream] | None = None,
    ) -> None:
        """Write to each, or `only` to these; those who could not take it all are taken out of `group`.

        Until then they stay in it: whatever goes wrong between two of them, none is forgotten.
        """
        for stream in list(group if only is None else only):
            data = message.to(stream)
            try:
                sent = os.write(stream.descriptor, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                group.discard(stream)
                _close(stream)
                continue
            if sent < len(data):
                group.discard(stream)
                self._wait_apart(stream, head, memoryview(data)[sent:])

    def _wait_apart(self, stream: Stream, head: Head, rest: memoryview) -> None:
        waiting = threading.Thread(
            target=self._wait_for, args=(stream, head, rest), name="sync-slow", daemon=True
        )
        self._apart.add(stream)
        try:
            waiting.start()
        except RuntimeError:  # the system has no more threads
            log.warning("a stream that is slow was closed: no thread is left to wait for it")
            self._apart.discard(stream)
            _close(stream)

    def _wait_for(self, stream: Stream, head: Head, rest: memoryview) -> None:
        try:
            _write_all(stream, rest)
            is_over = stream.is_over
            if is_over:  # said here, since there may be no room for it at once
                _write_all(stream, memoryview(_Message.bye("ask again").to(stream)))
        except OSError as error:
            log.debug("a slow stream was given up: %s", error)
        else:
            if not is_over:
                self.take(stream, head)
                return
        self._apart.discard(stream)
        _close(stream)

    def _end(self, group: set[Stream], message: _Message) -> None:
        for stream in group:
            try:
                os.write(stream.descriptor, message.to(stream))
            except OSError as error:
                log.debug("a stream was gone before its end: %s", error)
            _close(stream)


def _goes_well(step: Callable[[], None]) -> bool:
    """Take a step of the loop. Nobody would start that again, and its streams would keep their places."""
    try:
        step()
    except SQLAlchemyError as error:
        # Streams must outlive a database that restarts: heartbeats go on.
        log.warning("streams wait for the database: %s", error)
        return False
    except Exception:
        log.exception("the loop that holds all streams goes on after an error")
        return False
    return True


def opened(descriptor: int, *, stay: Stay, is_chunked: bool, leave: Callable[[], None]) -> Stream:
    """A connection of our own from another's, which may close its own."""
    return Stream(os.dup(descriptor), stay=stay, is_chunked=is_chunked, leave=leave)


def _write_all(stream: Stream, data: memoryview) -> None:
    """Write, waiting for room each time. Raises OSError."""
    poll = select.poll()
    poll.register(stream.descriptor, select.POLLOUT)
    while data:
        if not poll.poll(SLOW_SECONDS * 1000):
            raise TimeoutError
        data = data[os.write(stream.descriptor, data) :]


def _close(stream: Stream) -> None:
    try:
        os.close(stream.descriptor)
    except OSError as error:
        log.warning("a stream was not closed: %s", error)
    stream.leave()
