"""Serving a WSGI application with waitress, so that it stops when told to.

Needs the extra `gateway`; an application that brings its own server does not need this module.
"""

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from waitress import create_server, wasyncore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 16
# What is still being answered gets this long after the call to stop.
GRACE_SECONDS = 1.0

_LOOK_UP_SECONDS = 0.1
_CONNECTIONS_MAX = 1000


class Server:
    """A listening server in a thread of its own; `port` 0 takes a free one."""

    def __init__(
        self, app: "WSGIApplication", *, host: str, port: int, threads: int = THREADS
    ) -> None:
        """Listen at once.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._sockets: dict[int, Any] = {}
        host = "127.0.0.1" if host == "localhost" else host
        self._server = create_server(
            app,
            map=self._sockets,
            host=host,
            port=port,
            threads=threads,
            # waitress takes a hundred unless told, and is silent to the next: proxies keep many open.
            connection_limit=_CONNECTIONS_MAX,
            ident=None,
        )
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.effective_port}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plimsoll-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, give running answers a second, and end."""
        self._stopping.set()
        self._thread.join()
        self._server.task_dispatcher.shutdown(timeout=_LOOK_UP_SECONDS)

    def _run(self) -> None:
        # waitress' own loop can only be ended by an exception in its thread; turns of a tenth of
        # a second can be ended by anybody.
        while not self._stopping.is_set():
            self._turn()
        self._server.accepting = False
        deadline = time.monotonic() + GRACE_SECONDS
        while self._is_busy() and time.monotonic() < deadline:
            self._turn()
        wasyncore.close_all(self._sockets)

    def _turn(self) -> None:
        wasyncore.loop(timeout=_LOOK_UP_SECONDS, use_poll=True, map=self._sockets, count=1)

    def _is_busy(self) -> bool:
        return any(getattr(each, "requests", None) for each in list(self._sockets.values()))


def serve_until_stopped(app: "WSGIApplication", *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Call it from the main thread."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    server = Server(app, host=host, port=port)
    stopped.wait()
    server.close()


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPv6]:PORT` or `:PORT` (this machine only).

    Raises:
        ValueError: another form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)
