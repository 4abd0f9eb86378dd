"""Shared counters on Redis or Valkey: one Lua call a decision over all its limits (EXACT.md 30).

The arithmetic is `counters.lua`, the same as `plimsoll.contract.windows`; time is the server's. A
server that fails or does not answer in time is *away*: gateways then decide by their own counters,
and one thread asks now and then whether it is back. Only that thread ever connects, so requests
wait for an answer at most, never for a name or a handshake, and a server that comes back is not
met by everybody at once.
"""

import logging
import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from plimsoll import counters_script
from plimsoll.counters_script import Answer, Route, bulk

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise ValueError("shared counters need the extra `redis`: plimsoll-portal[redis]") from error

logger = logging.getLogger(__name__)

# How long a request waits for the server, at most, before it is decided here.
TIMEOUT_SECONDS = 0.25
CONNECTIONS_MAX = 64
RETRY_FIRST_SECONDS = 0.2
RETRY_MAX_SECONDS = 5.0
# Who was back for less than this, and then away again, is waited for longer each time.
STEADY_SECONDS = 10.0
# Settlements that wait for the server's return; older ones stand as used.
PENDING_MAX = 10_000

_LOOK_AGAIN_SECONDS = 0.05

# Its own methods carry no types.
_Connection: TypeAlias = Any
_even: Callable[[float, float], float] = secrets.SystemRandom().uniform


class SharedCounters:
    """A server of counters. Threads may share it; `start` before use, `close` at the end."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        jitter: Callable[[float, float], float] = _even,
    ) -> None:
        """Nothing is connected yet. `url`: `redis://`, `rediss://` (TLS) or `unix://`.

        Raises:
            ValueError: the address has another form.
        """
        self._pool = redis.ConnectionPool.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            socket_keepalive=True,
        )
        self._timeout = timeout_seconds
        self._jitter = jitter
        self._idle: list[_Connection] = []
        self._freed = threading.Condition()
        self._waiting = 0
        self._pending: deque[bytes] = deque(maxlen=PENDING_MAX)
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plimsoll-counters", daemon=True)
        self._opened = 0
        self._failures = 0
        self._back_at = 0.0
        # How often the server was lost.
        self._generation = 0
        self.is_up = False
        self.problem: str | None = "not connected yet"

    # ---- from outside ----

    def start(self) -> None:
        """Connect, if the server is there, and keep looking for it if it is not."""
        self._return()
        self._thread.start()

    def close(self) -> None:
        """End the thread and all connections."""
        self._stop.set()
        self._work.set()
        if self._thread.ident is not None:
            self._thread.join(2 * self._timeout + 1)
        self._leave("closed", self._generation)

    def decide(
        self,
        route: Route,
        record: bytes,
        *,
        amounts: tuple[int, ...],
        states: bytes,
        own: bytes,
        note: bytes,
    ) -> Answer | None:
        """Admit over all limits or none; None if the server is away.

        `record` keeps what was held, and `note`, until it is settled.
        """
        sent = route.packet(b"decide", record, amounts=amounts, states=states, own=own, note=note)
        return route.answer(self._exchange(sent, undo=(route, record)))

    def settle(
        self, route: Route, record: bytes, *, took: tuple[int, ...], held: Sequence[int] = ()
    ) -> Answer | None:
        """Say what was taken instead of what was held, as the record says.

        None if the server is away; it is done when it is back. Without a record `held` says, after the
        quotas and the marks of all limits, what was held of each metric; that is never done later.
        """
        states = struct.pack(f">{len(held)}q", *held)
        sent = route.packet(b"settle", record, amounts=took, states=states)
        return route.answer(self._exchange(sent, later=None if held else sent))

    def read(self, route: Route, *, states: bytes, own: bytes) -> Answer | None:
        """The counters as they stand; None if the server is away."""
        # A record has no part in it, but a place.
        return route.answer(
            self._exchange(route.packet(b"read", route.keys[0], states=states, own=own))
        )

    def record(self, name: bytes) -> bytes | None:
        """The note and what is held of a decision; None if it is settled, or the server is away."""
        found = self._exchange(b"*2\r\n" + bulk(b"GET") + bulk(name))
        return found if isinstance(found, bytes) else None

    # ---- one question ----

    def _exchange(
        self,
        sent: bytes,
        *,
        undo: tuple[Route, bytes] | None = None,
        later: bytes | None = None,
    ) -> object:
        """The answer, or None after which the server counts as away.

        What is to be done `later` is done when it is back. If only the answer to an admission was
        lost, it was admitted there, and will be here once more: `undo` settles it to nothing.
        """
        generation = self._generation
        connection = self._take()
        if connection is None:
            self._put_off(later)
            return None
        try:
            found = _exchanged(connection, sent)
        except (redis.RedisError, OSError) as error:
            _close(connection)
            self._put_off(later if undo is None else undo[0].packet(b"settle", undo[1]))
            self._leave(f"{type(error).__name__}: {error}", generation)
            return None
        except BaseException:
            # Half an answer may wait in it: whoever took it next would read that as its own.
            _close(connection)
            raise
        if generation == self._generation:
            self._give(connection)
        else:
            _close(connection)
        return found

    def _put_off(self, sent: bytes | None) -> None:
        if sent is not None:
            self._pending.append(sent)

    def _give(self, connection: _Connection) -> None:
        self._idle.append(connection)
        if self._waiting:
            with self._freed:
                self._freed.notify()

    def _take(self) -> _Connection | None:
        if not self.is_up:
            return None
        generation = self._generation
        try:
            return self._idle.pop()
        except IndexError:
            pass
        if self._opened < CONNECTIONS_MAX:
            self._work.set()
        connection = self._wait_for_one()
        if connection is None:
            self._leave("no connection became free in time", generation)
        return connection

    def _wait_for_one(self) -> _Connection | None:
        gives_up_at = time.monotonic() + self._timeout
        with self._freed:
            self._waiting += 1
            try:
                while self.is_up and (left := gives_up_at - time.monotonic()) > 0:
                    # Another may have been quicker than who was told.
                    with suppress(IndexError):
                        return self._idle.pop()
                    self._freed.wait(min(left, _LOOK_AGAIN_SECONDS))
            finally:
                self._waiting -= 1
        return None

    def _leave(self, reason: str, generation: int) -> None:
        with self._lock:
            # Who comes late speaks of a server that has been back since.
            if generation != self._generation:
                return
            self._generation += 1
            was_up, self.is_up = self.is_up, False
            self.problem, self._opened = reason, 0
            is_steady = time.monotonic() - self._back_at > STEADY_SECONDS
            self._failures = 0 if is_steady else self._failures + 1
            with suppress(IndexError):
                while True:
                    _close(self._idle.pop())
        self._work.set()
        if was_up and not self._stop.is_set():
            logger.warning("the shared counters are away (%s): counting alone", reason)

    # ---- the thread that connects ----

    def _run(self) -> None:
        while not self._stop.is_set():
            if self.is_up:
                self._work.wait()
                self._work.clear()
                if self.is_up and not self._idle:
                    self._open_one_more()
                continue
            ceiling = RETRY_FIRST_SECONDS * 2.0 ** min(self._failures, 10)
            self._stop.wait(self._jitter(0.0, min(RETRY_MAX_SECONDS, ceiling)))
            if not self._stop.is_set():
                self._return()

    def _return(self) -> None:
        """One attempt: connect, bring the script and what waits, then let requests in."""
        try:
            connection = self._connected()
            _load(connection)
            self._deliver(connection)
        except (redis.RedisError, OSError) as error:
            self._failures += 1
            self.problem = f"{type(error).__name__}: {error}"
            return
        with self._lock:
            self._idle.append(connection)
            self._opened = 1
            self._back_at = time.monotonic()
            self.is_up, self.problem = True, None
        logger.info("counting together with other gateways")

    def _deliver(self, connection: _Connection) -> None:
        while self._pending:
            try:
                _exchanged(connection, self._pending[0])
            except redis.ResponseError as error:
                logger.warning("a settlement was not taken: %s", error)
            self._pending.popleft()

    def _open_one_more(self) -> None:
        generation = self._generation
        try:
            connection = self._connected()
        except (redis.RedisError, OSError) as error:
            self._leave(f"{type(error).__name__}: {error}", generation)
            return
        self._opened += 1
        self._give(connection)

    def _connected(self) -> _Connection:
        connection: _Connection = self._pool.make_connection()
        connection.connect()
        return connection


def _exchanged(connection: _Connection, sent: bytes) -> object:
    """The answer to one command, with the script brought first where it is not known."""
    connection.send_packed_command([sent], check_health=False)
    try:
        return connection.read_response(disable_decoding=True)
    except redis.exceptions.NoScriptError:
        _load(connection)
        connection.send_packed_command([sent], check_health=False)
        return connection.read_response(disable_decoding=True)


def _load(connection: _Connection) -> None:
    connection.send_command("SCRIPT", "LOAD", counters_script.SCRIPT, check_health=False)
    connection.read_response()


def _close(connection: _Connection) -> None:
    with suppress(redis.RedisError, OSError):
        connection.disconnect()
