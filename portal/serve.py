"""The portal under waitress: threads of one process, and an end that every open stream hears of."""

import socket
import threading
from typing import Any

from flask import Flask
from waitress import create_server, wasyncore

from portal.sync.views import hub_of

# Each gateway keeps two connections, each browser a few idle ones; a silent limit would shut people out.
CONNECTIONS_MAX = 1000
BYE_SECONDS = 1.0
LOOP_SECONDS = 0.1
# Far above what the application takes: its own answer is the one that people should see.
BODY_MAX_BYTES = 32 * 1024 * 1024


class Server:
    """A server that runs beside its caller. Raises OSError where the address is taken."""

    def __init__(self, app: Flask, *, host: str, port: int, threads: int) -> None:
        self._hub = hub_of(app)
        self._sockets: dict[int, Any] = {}
        self._server = create_server(
            app,
            map=self._sockets,
            # Ours, since waitress leaves threads and sockets behind where the address is taken.
            sockets=[socket.create_server((host, port))],
            threads=threads,
            connection_limit=CONNECTIONS_MAX,
            max_request_body_size=BODY_MAX_BYTES,
            # Read and removed by portal.web.proxies, which knows the networks.
            clear_untrusted_proxy_headers=False,
            ident=None,
        )
        self.port = int(self._server.effective_port)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End within some two seconds: streams say bye, requests under way are answered."""
        self._hub.stop()
        self._server.task_dispatcher.shutdown(timeout=BYE_SECONDS)
        # The loop went on meanwhile; a moment more, and it has sent what the threads wrote last.
        self._stopping.wait(LOOP_SECONDS)
        self._stopping.set()
        self._thread.join(BYE_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wasyncore.loop(timeout=LOOP_SECONDS, map=self._sockets, use_poll=True, count=1)
        wasyncore.close_all(self._sockets)
