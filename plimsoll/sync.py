"""The follower: keeps a replica level with the portal, for ever (SYNC.md section 3).

One thread reads the open stream, one sends reports and one usage, each on a connection that is kept
alive, so that an acknowledgement never waits for a revocation and no revocation for either. None
ever gives up: what a gateway has verified it goes on deciding from.
"""

import logging
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from plimsoll.contract.records import Put
from plimsoll.errors import DigestMismatch, ProtocolError
from plimsoll.reading import Nack
from plimsoll.replica import Replica
from plimsoll.report import Jitter, Reporter
from plimsoll.snapshot import Snapshot
from plimsoll.transport import LinkLost, Portal, Refused, SnapshotRequired, Unavailable
from plimsoll.usage import Sender
from plimsoll.wire import Bye, Commit, Heartbeat, Hello, Message, line_batches, parse_line

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 30.0
REFUSED_SECONDS = 60.0
SILENT_HEARTBEATS = 2.5
MISMATCHES_MAX = 2
CLOSE_SECONDS = 2.0

# So many records may wait in memory for a store that cannot be written.
_OWED_MAX = 50_000
_DIVERGED_RETRY_SECONDS = 30.0

_even: Jitter = secrets.SystemRandom().uniform


class Link(StrEnum):
    """How a gateway stands with its portal."""

    STARTING = "starting"
    FOLLOWING = "following"
    RECONNECTING = "reconnecting"
    # The token was not accepted, or our version is too old: somebody has to act.
    REFUSED = "refused"
    # The portal's own figures do not add up: somebody has to look.
    DIVERGED = "diverged"
    CLOSED = "closed"


class Standing(NamedTuple):
    """The link with the reason in words, and the seconds since the portal was last heard."""

    link: Link
    reason: str
    silent_seconds: float | None


class _StartAgain(Exception):
    """End this stream and begin another after so many seconds."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Follower:
    """Follows one portal into one replica: `start()`, then `close()`."""

    def __init__(
        self,
        replica: Replica,
        portal_url: str,
        token: str | Callable[[], str],
        *,
        transport: "httpx2.BaseTransport | None" = None,
        jitter: Jitter = _even,
        counters: Callable[[], str] = lambda: "local",
    ) -> None:
        """Nothing is sent before `start`. `token` may be a function, asked at each connection.

        `counters` says for reports how counting is done now: `local` or `shared`.
        """
        self.replica = replica
        self._portal = Portal(portal_url, token, transport=transport)
        self.sender = Sender(replica, self._portal, jitter=jitter)
        self.reporter = Reporter(
            replica,
            self._portal,
            self.sender.spool,
            counters=counters,
            link=lambda: self._link.value,
            jitter=jitter,
        )
        self._jitter = jitter
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plimsoll-follower", daemon=True)
        self._link, self._reason = Link.STARTING, ""
        # Called in the follower's thread at each change of the link or its reason.
        self.on_link: Callable[[Standing], object] | None = None
        self._heard_at: float | None = None
        self._failures = self._mismatches = self._divergences = 0
        self._wants_snapshot = False
        self._snapshot_after = 0.0

    # ---- from outside ----

    def start(self) -> None:
        """Begin to follow in threads of our own."""
        self.reporter.start()
        self.sender.start()
        self._thread.start()

    def close(self) -> None:
        """Stop within 2 seconds, wherever the threads are."""
        self._stop.set()
        self.reporter.close()
        self.sender.close()
        self._portal.abort()
        for thread in (self._thread, self.reporter.thread, self.sender.thread):
            if thread.ident is not None:
                thread.join(CLOSE_SECONDS)
        self._portal.close()
        self._link = Link.CLOSED

    def standing(self) -> Standing:
        """How we stand with the portal now."""
        heard, now = self._heard_at, self.replica.clock.monotonic()
        return Standing(self._link, self._reason, None if heard is None else now - heard)

    # ---- one connection after the other ----

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                seconds = self.follow_once()
            except Exception as error:
                # Whatever it is, as a full disk: a gateway that stops following is worse.
                logger.exception("following failed; trying again")
                self._stand(Link.RECONNECTING, f"{type(error).__name__}: {error}")
                seconds = self._backoff()
            self._stop.wait(seconds)

    def follow_once(self) -> float:
        """One connection, until it ends; answers how many seconds to wait before the next."""
        try:
            seconds = self._connect()
        except _StartAgain as again:
            seconds = again.seconds
            self._stand(Link.RECONNECTING, str(again))
        except Refused as refused:
            seconds = self._refused(refused)
        except Unavailable as busy:
            seconds = max(busy.retry_seconds, self._backoff())
            self._stand(Link.RECONNECTING, str(busy))
        except LinkLost as lost:
            seconds = self._backoff()
            self._stand(Link.RECONNECTING, str(lost))
        except ProtocolError as error:
            # A garbled stream counts like a batch that does not add up.
            seconds = self._mismatched(str(error))
        return seconds

    def _connect(self) -> float:
        head = self.replica.head
        if head is None or self._wants_snapshot:
            self._load_snapshot()
            return 0.0
        try:
            with self._portal.state(head.cursor, self._silence_seconds()) as chunks:
                self._follow(chunks)
        except SnapshotRequired as required:
            logger.warning("the portal has another history (%s); loading a snapshot", required)
            self._wants_snapshot = True
            return 0.0
        return self._jitter(0.0, BACKOFF_FIRST_SECONDS)

    # ---- the open stream ----

    def _follow(self, chunks: Iterator[bytes]) -> None:
        lines = (line for batch in line_batches(chunks) for line in batch)
        self._greet(_hello(next(lines, None)))
        pending = _Pending([])
        try:
            for line in lines:
                self._take(parse_line(line), pending)
        finally:
            # Whatever else is lost, a revocation that could be read is not.
            self.replica.revoke_at_once(pending.puts)

    def _take(self, message: Message, pending: "_Pending") -> None:
        self._heard_at = self.replica.clock.monotonic()
        if isinstance(message, Put):
            pending.puts.append(message)
        elif isinstance(message, Commit):
            pending.commit = message
            self._settle(pending)
        elif isinstance(message, Heartbeat):
            self._settle(pending)
            self._beat(message, pending)
        elif isinstance(message, Bye):
            self._part(message)

    def _settle(self, pending: "_Pending") -> None:
        """Take in what is committed; what the store cannot take is tried again with what follows."""
        if pending.commit is None:
            return
        try:
            self._commit(pending.puts, pending.commit)
        except sqlite3.Error as error:
            # As on a full disk. The stream stays open: it is how revocations come, and they hold.
            reason = f"the store cannot be written: {error}"
            if reason != self._reason:
                logger.error("%s; serving on, and trying again", reason)  # noqa: TRY400 - the text says it
            self._stand(Link.FOLLOWING, reason)
            if len(pending.puts) > _OWED_MAX:
                raise
        else:
            pending.puts, pending.commit = [], None

    def _greet(self, hello: Hello) -> None:
        self._heard_at = self.replica.clock.monotonic()
        head = self.replica.head
        if head is None or (hello.epoch, hello.since) != (head.epoch, head.revision):
            self._wants_snapshot = True
            raise ProtocolError("hello speaks of another position than ours")
        self.replica.time.hear(hello.now)
        if hello.heartbeat != self._heartbeat:
            # How long silence may last is fixed when a request is sent.
            self.replica.store.set_meta(heartbeat=str(hello.heartbeat))
            raise _StartAgain(0.0, "the portal's heartbeat changed")
        if self._link is not Link.DIVERGED:
            self._stand(Link.FOLLOWING)
        self.reporter.send()

    def _commit(self, batch: list[Put], commit: Commit) -> None:
        head = self.replica.head
        if head is None:
            raise ProtocolError("a commit before there is a state")
        began = self.replica.clock.monotonic()
        self.replica.time.hear(commit.now)
        try:
            self.replica.commit(batch, commit, head.epoch)
        except DigestMismatch:
            if self._link is not Link.DIVERGED:
                raise
            self.replica.revoke_at_once(batch)
            self._try_snapshot()
            return
        self._level()
        self._stand(Link.FOLLOWING)
        self.reporter.send(self.replica.clock.monotonic() - began)

    def _beat(self, heartbeat: Heartbeat, pending: "_Pending") -> None:
        self.replica.time.hear(heartbeat.now)
        self.reporter.send()
        if self._link is Link.DIVERGED:
            self._try_snapshot()
            return
        head, owed = self.replica.head, pending.commit
        place = (owed.rev, owed.digest) if owed else head and (head.revision, head.digest)
        if (heartbeat.rev, heartbeat.digest) != place:
            # A heartbeat never moves our cursor: what it knows and we do not was lost on the way.
            raise _StartAgain(self._backoff(), "the portal is ahead of its stream")
        self._failures = 0

    def _try_snapshot(self) -> None:
        if self.replica.clock.monotonic() >= self._snapshot_after:
            self._wants_snapshot = True
            raise _StartAgain(0.0, "trying a snapshot again")

    def _part(self, bye: Bye) -> None:
        low, high = bye.retry_ms
        seconds = self._jitter(low / 1000, high / 1000)
        # A portal that says goodbye again and again without any news is not asked ever faster.
        if self._failures:
            seconds = max(seconds, self._backoff())
        self._failures += 1
        self._wants_snapshot = self._wants_snapshot or bye.reason == "snapshot_required"
        raise _StartAgain(seconds, f"bye: {bye.reason}")

    # ---- a whole state ----

    def _load_snapshot(self) -> None:
        # Else one that was made before could take back what we know, for as long as catching up lasts.
        at_least = self.replica.head.revision if self.replica.head else 0
        with self._portal.state(None, self._silence_seconds(), at_least=at_least) as chunks:
            batches = line_batches(chunks)
            first = next(batches, [])
            hello = _hello(first.pop(0) if first else None)
            self.replica.time.hear(hello.now)
            snapshot = self.replica.snapshot(hello.epoch)
            try:
                snapshot.add(first)
                self._fill(snapshot, batches)
                self.replica.swap(snapshot)
            except DigestMismatch as error:
                self.replica.revoke(snapshot.revoked)
                self._diverge(str(error))
            finally:
                snapshot.abandon()
        self._wants_snapshot = False
        self._level()
        self._stand(Link.FOLLOWING)
        self.reporter.send()

    def _fill(self, snapshot: Snapshot, batches: Iterator[list[bytes]]) -> None:
        while snapshot.commit is None:
            lines = next(batches, None)
            if lines is None:
                raise LinkLost("the snapshot ended early")
            if self._stop.is_set():
                raise _StartAgain(0.0, "closing")
            self._heard_at = self.replica.clock.monotonic()
            snapshot.add(lines)

    # ---- standing ----

    @property
    def _heartbeat(self) -> float:
        return float(self.replica.store.meta.get("heartbeat", 5.0))

    def _silence_seconds(self) -> float:
        return SILENT_HEARTBEATS * self._heartbeat

    def _level(self) -> None:
        self._failures = self._mismatches = self._divergences = 0

    def _stand(self, link: Link, reason: str = "") -> None:
        is_news = (link, reason) != (self._link, self._reason)
        self._reason = reason
        if is_news and self.on_link is not None:
            self.on_link(Standing(link, reason, None))
        # Diverged lasts until a batch or a snapshot adds up, whatever happens to the connection.
        if self._link is Link.DIVERGED and link is Link.RECONNECTING:
            return
        if link is not self._link:
            logger.info("%s %s", link.value, reason)
        self._link = link

    def _backoff(self) -> float:
        ceiling = min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        return self._jitter(0.0, ceiling)

    def _refused(self, refused: Refused) -> float:
        logger.error(
            "the portal refuses this gateway's %s (%s); serving from the store, which gets old;"
            " trying again every %d s",
            refused.what,
            refused,
            REFUSED_SECONDS,
        )
        self._stand(Link.REFUSED, str(refused))
        return REFUSED_SECONDS

    def _mismatched(self, reason: str) -> float:
        self._mismatches += 1
        logger.warning("a batch was dropped (%s), for the %d. time", reason, self._mismatches)
        self._stand(Link.RECONNECTING, reason)
        self._wants_snapshot = self._wants_snapshot or self._mismatches >= MISMATCHES_MAX
        # Ask again at once; only what keeps failing waits.
        return 0.0 if self._mismatches <= MISMATCHES_MAX else self._backoff()

    def _diverge(self, reason: str) -> NoReturn:
        self._stand(Link.DIVERGED, reason)
        logger.error("diverged: %s; keeping the last good state", reason)
        self.replica.nack([Nack("state", "state", "diverged", reason)])
        self._wants_snapshot = False
        # Soon at first: it may have been damaged on its way, and what else was lost comes with it.
        seconds = min(_DIVERGED_RETRY_SECONDS, 2.0**self._divergences)
        self._divergences = min(self._divergences + 1, 10)
        self._snapshot_after = self.replica.clock.monotonic() + seconds
        self.reporter.send()
        raise _StartAgain(self._backoff(), reason)


@dataclass
class _Pending:
    """What was heard and is not in the store yet, with the commit where that has come."""

    puts: list[Put]
    commit: Commit | None = None


def _hello(line: bytes | None) -> Hello:
    if line is None:
        raise LinkLost("the stream ended before it began")
    message = parse_line(line)
    if not isinstance(message, Hello):
        raise ProtocolError("the stream does not begin with hello")
    return message
