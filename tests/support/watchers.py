"""Many open streams of the sync API, all read by whoever asks for them: a thread each would be too many."""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

START = b'{"t":"'
CONNECT_SECONDS = 10.0


def stream(token: str, cursor: str | None = None) -> bytes:
    """The request that opens a stream."""
    path = f"/sync/v1/state?stream=1{f'&cursor={cursor}' if cursor else ''}"
    return _request(f"GET {path}", token)


def report(token: str, body: bytes) -> bytes:
    """The request that says what a gateway holds."""
    length = f"Content-Length: {len(body)}\r\n"
    return _request("POST /sync/v1/report", token, length) + body


def _request(line: str, token: str, more: str = "") -> bytes:
    return (
        f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Sync-Version: 1\r\nAccept-Encoding: identity\r\nConnection: close\r\n{more}\r\n"
    ).encode()


class Watcher:
    """One stream: how often each kind of line was heard, the last line, and whether it is at its end."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS)
        self.socket.sendall(request)
        self.socket.settimeout(0)
        self.heard: Counter[str] = Counter()
        self.status = 0
        self.last = b""
        self.is_over = False
        self._rest = b""

    def read(self) -> None:
        """Take what has come."""
        try:
            got = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionError:
            got = b""
        self.is_over = not got
        *lines, self._rest = (self._rest + got).split(b"\n")
        for line in lines:
            if line.startswith(START):  # else a header, or the length of a chunk
                self.heard[line[len(START) :].partition(b'"')[0].decode()] += 1
                self.last = line
            elif line.startswith(b"HTTP/"):
                self.status = int(line.split()[1])


class Watchers:
    """`count` connections with the same request each, closed at the end of the block."""

    def __init__(self, port: int, request: bytes, *, count: int) -> None:
        self._port, self._request = port, request
        self._selector = selectors.DefaultSelector()
        self.all: list[Watcher] = []
        self.add(count)

    def add(self, count: int) -> None:
        """Open more of them."""
        for _ in range(count):
            made = Watcher(self._port, self._request)
            self._selector.register(made.socket, selectors.EVENT_READ, made)
            self.all.append(made)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for each in self.all:
            each.socket.close()
        self._selector.close()

    def read(self, *, seconds: float) -> None:
        """Read whatever comes within `seconds`, or until it has come."""
        for key, _ in self._selector.select(seconds):
            watcher: Watcher = key.data
            watcher.read()
            if watcher.is_over:
                self._selector.unregister(watcher.socket)

    def wait_for(self, holds: Callable[[Watcher], Any], *, seconds: float = 40.0) -> float:
        """Seconds until something holds for every watcher."""
        began = time.monotonic()
        while not all(holds(watcher) for watcher in self.all):
            left = began + seconds - time.monotonic()
            assert left > 0, f"{sum(1 for each in self.all if not holds(each))} are missing"
            self.read(seconds=min(left, 0.1))
        return time.monotonic() - began
