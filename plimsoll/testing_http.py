"""How `plimsoll.testing.FakePortal` is reached: in process or over a real socket."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

Answer = Callable[[str, str, bytes], tuple[int, Iterable[bytes]]]

_THREADS = 64


class FakeTransport(httpx2.BaseTransport):
    """Takes the network's place: requests are answered by a function of this process."""

    def __init__(self, answer: Answer, is_down: Callable[[], bool]) -> None:
        """`is_down` is asked at each request."""
        self._answer = answer
        self._is_down = is_down

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request of the client."""
        if self._is_down():
            raise httpx2.ConnectError("the portal is down", request=request)
        target = request.url.raw_path.decode("ascii")
        authorization = request.headers.get("Authorization", "")
        status, content = self._answer(target, authorization, request.read())
        return httpx2.Response(status, stream=_Stream(content), request=request)


class _Stream(httpx2.SyncByteStream):
    def __init__(self, content: Iterable[bytes]) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield from self._content

    def close(self) -> None:
        close = getattr(self._content, "close", None)
        if close is not None:
            close()


@contextmanager
def serving(application: Any) -> Iterator[str]:
    """Serve a WSGI application on a free port of this machine; yields its address."""
    from plimsoll.serving import Server

    server = Server(application, host="127.0.0.1", port=0, threads=_THREADS)
    try:
        yield server.url
    finally:
        server.close()
