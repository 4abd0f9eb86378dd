"""The wire between a gateway and its portal, and all that may happen on it.

It carries lines, one chunk each. A fault waits here until something comes by that it fits, and
happens once.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx2

from plimsoll.contract.records import bye_line
from tests.model.baton import Baton, Killed
from tests.model.portal import ModelPortal, Watch

HEARTBEAT = 5.0
_NOW = re.compile(rb'"now":\d+')
_PUT = b'{"t":"put"'
_COMMIT = b'{"t":"commit"'


class Fault(NamedTuple):
    """What happens to the lines that come by next: `at` says to which, `bit` where in it."""

    kind: str
    at: int = 0
    bit: int = 0


# Of a batch with news in it.
ON_BATCHES = ("lose", "lose all", "double", "swap", "flip", "tear", "cut", "replay")
# Of whatever comes next, be it a hello or a heartbeat.
ON_LINES = ("lose any", "flip any", "stall")
ON_POSTS = ("lost", "unanswered", "twice")
ON_SNAPSHOTS = ("stale",)


@dataclass
class Connection:
    """An answer to `GET /sync/v1/state` on its way."""

    watch: Watch | None
    is_open: bool
    silence: float
    beats_at: float
    lines: deque[bytes] = field(default_factory=deque)
    is_ended: bool = False
    is_broken: bool = False
    is_stalled: bool = False
    # No fault has met it.
    is_clean: bool = True


class Wire(httpx2.BaseTransport):
    """Takes the network's place for one gateway."""

    def __init__(self, portal: ModelPortal, baton: Baton) -> None:
        self.portal, self.baton = portal, baton
        self.faults: list[Fault] = []
        self.open: Connection | None = None
        self.is_token_good = True
        # After the next fault the portal cannot be reached.
        self.is_last = False
        # Called with each line that the gateway takes, and with each body that it sends.
        self.on_line: Callable[[bytes], None] = lambda _: None
        self.on_stream: Callable[[], None] = lambda: None
        self.on_report: Callable[[bytes], None] = lambda _: None
        self.step: Callable[[], None] = lambda: None
        self._bursts: list[list[bytes]] = []
        self._snapshots: list[list[bytes]] = []

    # ---- the gateway's side ----

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.step()
        if self.portal.is_down:
            raise httpx2.ConnectError("the portal is down", request=request)
        if not self.is_token_good:
            return httpx2.Response(401, request=request)
        path = urlsplit(str(request.url))
        if path.path == "/sync/v1/state":
            return self._state(request, parse_qs(path.query))
        return self._post(request)

    def _state(self, request: httpx2.Request, query: dict[str, list[str]]) -> httpx2.Response:
        cursor = query.get("cursor", [None])[0]
        watch = self.portal.watch(cursor)
        if watch is None:
            return httpx2.Response(409, request=request)
        self.open = Connection(
            watch,
            is_open=cursor is not None,
            silence=request.extensions["timeout"]["read"],
            beats_at=self.portal.clock.monotonic() + HEARTBEAT,
        )
        self.on_stream()
        self.pump()
        return httpx2.Response(200, stream=_Stream(self, self.open), request=request)

    def _post(self, request: httpx2.Request) -> httpx2.Response:
        fault = self._take(ON_POSTS)
        if fault == "lost":
            raise httpx2.ConnectError("lost on the way", request=request)
        body = request.read()
        if request.url.path == "/sync/v1/report":
            self.on_report(body)
        for _ in range(2 if fault == "twice" else 1):
            authorization = request.headers["Authorization"]
            status, content = self.portal.answer(request.url.path, authorization, body)
        self.step()
        if fault == "unanswered":
            raise httpx2.ReadError("the answer was lost", request=request)
        return httpx2.Response(status, content=b"".join(content), request=request)

    def read(self, connection: Connection) -> Iterator[bytes]:
        """The lines as they come, until the connection ends in one way or another."""
        while True:
            if connection.lines:
                line = connection.lines.popleft()
                for whole in line.split(b"\n")[:-1]:
                    self.on_line(whole)
                self.step()
                yield line
            elif connection.is_broken:
                raise httpx2.ReadError("the connection broke")
            elif connection.is_ended:
                return
            elif not self.baton.wait(lambda: _is_due(connection), connection.silence):
                raise httpx2.ReadTimeout("silence")

    # ---- the portal's side ----

    def pump(self) -> None:
        """Send what the portal has to say."""
        connection = self.open
        if connection is None or connection.is_ended or connection.watch is None:
            return
        if connection.is_open:
            for burst in connection.watch.bursts():
                self._carry(connection, burst)
        else:
            lines = [line for burst in connection.watch.bursts() for line in burst]
            self._carry(connection, self._snapshot(connection, lines))
            connection.is_ended = True

    def beat(self) -> None:
        """Send the heartbeat if it is due."""
        connection, now = self.open, self.portal.clock.monotonic()
        if connection is None or connection.is_ended or connection.beats_at > now:
            return
        connection.beats_at = now + HEARTBEAT
        if connection.watch is not None:
            self._carry(connection, connection.watch.beat())

    def next_at(self) -> float:
        """When the next heartbeat is due."""
        connection = self.open
        if connection is None or connection.is_ended or connection.is_broken:
            return float("inf")
        return connection.beats_at

    def drop(self) -> None:
        """Break the connection; what is on its way still arrives."""
        if self.open is not None:
            self.open.is_broken = self.open.is_ended = True

    def part(self) -> None:
        """The portal says goodbye, as at a deployment."""
        connection = self.open
        if connection is not None and not connection.is_ended and not connection.is_stalled:
            connection.lines.append(bye_line(retry_ms=(0, 4000), reason="deploy"))
            connection.is_ended = True

    # ---- faults ----

    def _snapshot(self, connection: Connection, lines: list[bytes]) -> list[bytes]:
        if self._snapshots and self._take(ON_SNAPSHOTS):
            connection.is_clean = False
            return self._snapshots[0]
        self._snapshots.append(lines)
        return lines

    def _take(self, kinds: tuple[str, ...]) -> str | None:
        fault = next((each for each in self.faults if each.kind in kinds), None)
        if fault is None:
            return None
        self.faults.remove(fault)
        return fault.kind

    def _carry(self, connection: Connection, lines: list[bytes]) -> None:
        if connection.is_stalled or connection.is_broken:
            return
        kinds = (*ON_BATCHES, *ON_LINES) if len(lines) > 1 else ON_LINES
        fault = next((each for each in self.faults if each.kind in kinds), None)
        if connection.is_open and len(lines) > 1:
            self._bursts.append(lines)
        if fault is not None:
            self.faults.remove(fault)
            connection.is_clean = False
            lines = self._spoil(connection, lines, fault)
            if self.is_last:
                self.is_last, self.portal.is_down = False, True
        connection.lines.extend(lines)

    def _spoil(self, connection: Connection, lines: list[bytes], fault: Fault) -> list[bytes]:
        if fault.kind == "replay":
            # An earlier batch in the place of this one.
            return self._bursts[fault.bit % len(self._bursts)] if self._bursts else lines
        connection.is_stalled = fault.kind == "stall"
        connection.is_broken = fault.kind in {"tear", "cut"}
        at = 0 if fault.kind in {"lose all", "stall"} else fault.at % len(lines)
        return [*lines[:at], *_spoiled(fault, lines[at:])]


def _spoiled(fault: Fault, lines: list[bytes]) -> list[bytes]:
    """What arrives of the lines from the one that a fault meets."""
    line, *rest = lines
    arrives = {
        "lose": rest,
        "double": [line, *lines],
        "swap": [*rest[:1], line, *rest[1:]],
        "flip": [flipped(line, fault.bit), *rest],
        "tear": [line[: fault.bit % len(line)]],
    }
    # A connection that is cut or stalls brings nothing more.
    return arrives.get(fault.kind.removesuffix(" any"), [])


def flipped(line: bytes, bit: int) -> bytes:
    """A line with one bit changed, anywhere but in the portal's time, which nothing guards but TLS."""
    found = _NOW.search(line)
    free = [
        n for n in range(len(line) - 1) if found is None or not found.start() <= n < found.end()
    ]
    place = free[bit // 8 % len(free)]
    changed = bytes([line[place] ^ (1 << bit % 8)])
    return line[:place] + changed + line[place + 1 :]


def _is_due(connection: Connection) -> bool:
    return bool(connection.lines) or connection.is_broken or connection.is_ended


class _Stream(httpx2.SyncByteStream):
    def __init__(self, wire: Wire, connection: Connection) -> None:
        self._wire, self._connection = wire, connection

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._wire.read(self._connection)
        except Killed:
            self._connection.is_ended = True
            raise

    def close(self) -> None:
        self._connection.is_ended = True
