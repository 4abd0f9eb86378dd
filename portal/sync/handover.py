"""Takes an answer's connection out of gunicorn's hands, once the stream on it has caught up."""

import ssl
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from portal.sync.fan import Fan, opened
from portal.sync.hub import Head
from portal.sync.stream import Stay

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HANDOVER = "portal.handover"


class Handover:
    """What a view fills in that answers with a stream: how to give its place back, and who asked."""

    def __init__(self) -> None:
        self.leave: Callable[[], None] | None = None
        self.token = ""
        self.head: Head | None = None

    def accept(self, leave: Callable[[], None], token: str) -> Callable[[Head], Iterator[bytes]]:
        """Have the connection go on here; `leave` gives its place back then. Returns what follows."""
        self.leave, self.token = leave, token
        return self._follow

    def _follow(self, head: Head) -> Iterator[bytes]:
        self.head = head  # the fan goes on from there
        return iter(())


class HandingOver:
    """Outermost in a sync process: lets the view's answer be sent, then gives the connection to the fan."""

    def __init__(self, app: "WSGIApplication", fan: Fan) -> None:
        self._app = app
        self._fan = fan

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        socket = environ.get("gunicorn.socket")
        # Under TLS of gunicorn's own the connection is more than its file.
        if socket is None or isinstance(socket, ssl.SSLSocket):
            return self._app(environ, start_response)
        handover = environ[HANDOVER] = Handover()
        writes: list[Callable[[bytes], object]] = []

        def start(*arguments: Any) -> Callable[[bytes], object]:
            writes.append(start_response(*arguments))
            return writes[-1]

        pieces = self._app(environ, start)
        if handover.leave is None:
            return pieces
        try:
            self._send(pieces, writes[-1])
            if handover.head is None:
                handover.leave()
                return []
            stream = opened(
                socket.fileno(),
                stay=Stay.begin(handover.token),
                is_chunked=environ.get("SERVER_PROTOCOL") != "HTTP/1.0",
                leave=handover.leave,
            )
            self._fan.take(stream, handover.head)
        except BaseException:
            handover.leave()
            raise
        # To gunicorn: done with this connection; close your end, and write no end of the answer.
        raise StopIteration

    def _send(self, pieces: Any, write: Callable[[bytes], object]) -> None:
        try:
            for piece in pieces:
                write(piece)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
