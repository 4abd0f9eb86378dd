"""Shared counters on Redis or Valkey: one Lua call a decision over all its limits (EXACT.md 30).

The arithmetic is `counters.lua`, the same as `plimsoll.contract.windows`; time is the server's. A
server that fails or does not answer in time is *away*: gateways then decide by their own counters,
and one thread asks now and then whether it is back. Only that thread ever connects, so requests
wait for an answer at most, never for a name or a handshake, and a server that comes back is not
met by everybody at once.
"""

import hashlib
import logging
import queue
import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any, NamedTuple, TypeAlias

from plimsoll.contract.limits import Kind, Limit
from plimsoll.contract.windows import State

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

# Its own methods carry no types.
_Connection: TypeAlias = Any
_even: Callable[[float, float], float] = secrets.SystemRandom().uniform

_SCRIPT = (files("plimsoll") / "counters.lua").read_bytes()
# Of each metric, in the order of `METRIC_ORDER`.
NOTHING = (0,) * 6

_KINDS = {Kind.BUCKET: 1, Kind.WINDOW: 2, Kind.CONCURRENCY: 3}


def sha_of(script: bytes) -> bytes:
    """What a script is called by."""
    return hashlib.sha1(script, usedforsecurity=False).hexdigest().encode()


_SHA = sha_of(_SCRIPT)


class Answer(NamedTuple):
    """What the server said: its time, whether it was done, and per limit state and wait."""

    now_us: int
    is_done: bool
    states: list[State]
    waits: list[int]


class Call(NamedTuple):
    """One act over some limits: their keys and shapes, and what the script is told of them."""

    keys: Sequence[bytes]
    shapes: bytes
    amounts: tuple[int, ...] = ()
    states: Iterable[int] = ()
    own: Iterable[int] = ()


def key_of(owner: str, counter: str) -> bytes:
    """The key of an organisation's counter, or of a lineage's; in braces what a cluster keeps together."""
    org, colon, rest = owner.partition(":")
    return f"plim:{{{org}}}{colon}{rest}:{counter}".encode()


def record_key(decision_id: str, org: str) -> bytes:
    """The key of an admitted request until it is settled."""
    return f"plim:{{{org}}}:decision:{decision_id}".encode()


def shape_of(limit: Limit, metric: int, *, is_charged: bool) -> bytes:
    """A limit as the script knows it; `metric` is its place in `METRIC_ORDER`."""
    kind, period = limit.cell.kind, limit.cell.period
    unit = period * 1000 if isinstance(period, int) else 0
    capacity = limit.quota if limit.burst is None else limit.burst if limit.quota else 0
    return _packed((_KINDS[kind], metric + 1, limit.quota, capacity, unit, int(is_charged)))


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
        self._idle: queue.LifoQueue[_Connection] = queue.LifoQueue()
        self._pending: deque[list[bytes]] = deque(maxlen=PENDING_MAX)
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

    def decide(self, call: Call, *, record: bytes, member: bytes, note: bytes) -> Answer | None:
        """Admit over all limits or none; None if the server is away.

        `record` keeps what was held, and `note`, until it is settled; `member` names the request
        among those in flight.
        """
        sent = [*_head(b"decide", call, record), _packed(call.states), _packed(call.own)]
        # If only the answer was lost, it was admitted there, and will be here once more.
        undo = _settlement(call._replace(amounts=NOTHING), record=record, member=member)
        return _answer(self._exchange([*sent, member, note], undo=undo), call)

    def settle(
        self, call: Call, *, record: bytes, member: bytes, held: Iterable[int] = ()
    ) -> Answer | None:
        """Say what was taken (`call.amounts`) instead of what was held, as the record says.

        None if the server is away; it is done when it is back. Without a record `held` says, after
        the marks of all limits, what was held of each metric; that is never done later.
        """
        sent = _settlement(call, record=record, member=member, held=held)
        later = None if held else sent
        return _answer(self._exchange(sent, undo=later, later=later), call)

    def read(self, call: Call) -> Answer | None:
        """The counters as they stand; None if the server is away."""
        sent = [*_head(b"read", call, None), _packed(call.states), _packed(call.own)]
        return _answer(self._exchange(sent), call)

    def note_of(self, record: bytes) -> bytes | None:
        """The note in the record of a decision; None if there is none, or the server is away."""
        found = self._exchange([b"GET", record])
        return found.partition(b"\n")[0] if isinstance(found, bytes) else None

    # ---- one question ----

    def _exchange(
        self,
        sent: list[bytes],
        *,
        undo: list[bytes] | None = None,
        later: list[bytes] | None = None,
    ) -> object:
        """The answer, or None after which the server counts as away.

        When it is back it gets `undo` if it may have done what was `sent`, `later` if it cannot.
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
            self._put_off(undo)
            self._leave(f"{type(error).__name__}: {error}", generation)
            return None
        except BaseException:
            # Half an answer may wait in it: whoever took it next would read that as its own.
            _close(connection)
            raise
        if generation == self._generation:
            self._idle.put(connection)
        else:
            _close(connection)
        return found

    def _put_off(self, sent: list[bytes] | None) -> None:
        if sent is not None:
            self._pending.append(sent)

    def _take(self) -> _Connection | None:
        if not self.is_up:
            return None
        generation = self._generation
        with suppress(queue.Empty):
            return self._idle.get_nowait()
        if self._opened < CONNECTIONS_MAX:
            self._work.set()
        try:
            return self._idle.get(timeout=self._timeout)
        except queue.Empty:
            self._leave("no connection became free in time", generation)
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
            with suppress(queue.Empty):
                while True:
                    _close(self._idle.get_nowait())
        self._work.set()
        if was_up and not self._stop.is_set():
            logger.warning("the shared counters are away (%s): counting alone", reason)

    # ---- the thread that connects ----

    def _run(self) -> None:
        while not self._stop.is_set():
            if self.is_up:
                self._work.wait()
                self._work.clear()
                if self.is_up and self._idle.empty():
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
            connection.send_packed_command([_packet([b"SCRIPT", b"LOAD", _SCRIPT])])
            connection.read_response()
            self._deliver(connection)
        except (redis.RedisError, OSError) as error:
            self._failures += 1
            self.problem = f"{type(error).__name__}: {error}"
            return
        with self._lock:
            self._idle.put(connection)
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
        self._idle.put(connection)

    def _connected(self) -> _Connection:
        connection: _Connection = self._pool.make_connection()
        connection.connect()
        return connection


def _exchanged(connection: _Connection, sent: list[bytes]) -> object:
    """The answer to one command, with the script brought first where it is not known."""
    connection.send_packed_command([_packet(sent)], check_health=False)
    try:
        return connection.read_response(disable_decoding=True)
    except redis.exceptions.NoScriptError:
        whole = [b"EVAL", _SCRIPT, *sent[2:]]
        connection.send_packed_command([_packet(whole)], check_health=False)
        return connection.read_response(disable_decoding=True)


def _close(connection: _Connection) -> None:
    with suppress(redis.RedisError, OSError):
        connection.disconnect()


def _head(act: bytes, call: Call, record: bytes | None) -> list[bytes]:
    keys = call.keys if record is None else [*call.keys, record]
    return [
        b"EVALSHA",
        _SHA,
        b"%d" % len(keys),
        *keys,
        act,
        call.shapes,
        _packed(call.amounts),
    ]


def _settlement(
    call: Call, *, record: bytes, member: bytes, held: Iterable[int] = ()
) -> list[bytes]:
    return [*_head(b"settle", call, record), _packed(held), b"", member]


def _packet(arguments: Sequence[bytes]) -> bytes:
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(each), each) for each in arguments]
    return b"".join(parts)


def _packed(numbers: Iterable[int]) -> bytes:
    values = tuple(numbers)
    return struct.pack(f">{len(values)}d", *values)


def _answer(found: object, call: Call) -> Answer | None:
    if not isinstance(found, bytes):
        return None
    count = len(call.keys)
    now_us, is_done, *rest = map(int, struct.unpack(f">{2 + 3 * count}d", found))
    states = list(zip(rest[::3], rest[1::3], strict=True))
    return Answer(now_us, bool(is_done), states, rest[2::3])
