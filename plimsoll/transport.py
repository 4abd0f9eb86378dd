"""HTTP to the portal: the open state stream, reports and usage, and a way to end both at once.

The HTTP client takes longer to load than a gateway takes to be ready, so it is loaded by the
threads that use it.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import orjson

from plimsoll.contract.records import WIRE_VERSION
from plimsoll.errors import PlimsollError, ProtocolError

if TYPE_CHECKING:
    import httpx2

# Closing has to end within 2 seconds, and a connection attempt cannot be interrupted.
_CONNECT_SECONDS = 1.8
_REPORT_SECONDS = 10.0
_KEPT_ALIVE_SECONDS = 120.0
_RETRY_MAX_SECONDS = 300.0


class LinkLost(PlimsollError):
    """The connection could not be made, or broke."""


class Refused(PlimsollError):
    """401 or 403: the portal does not accept this gateway's token, or we have none to show."""

    what = "token"


class TooOld(Refused):
    """426: the portal speaks a newer version of the sync API than this gateway."""

    what = "version"


class SnapshotRequired(ProtocolError):
    """409 (or 400): the portal does not know our cursor."""


class Unavailable(PlimsollError):
    """The portal cannot serve us now; `retry_seconds` is what it asked for, 0 if nothing."""

    def __init__(self, text: str, retry_seconds: float = 0.0) -> None:
        super().__init__(text)
        self.retry_seconds = retry_seconds


def portal_url(text: str) -> str:
    """The address of a portal, without a slash at its end.

    Raises:
        ValueError: it is not one of HTTP.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{text!r} is not an address of a portal (https://…)")
    return text.rstrip("/")


class Portal:
    """One portal, as a gateway talks to it. `abort` may be called from any thread."""

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str],
        *,
        transport: "httpx2.BaseTransport | None" = None,
    ) -> None:
        """Nothing is loaded or sent yet. `transport` takes the network's place in tests.

        Raises:
            ValueError: the address is not one of HTTP.
        """
        self.url = portal_url(url)
        self._token = token
        self._transport = transport
        self._lock = threading.Lock()
        self._clients: dict[str, httpx2.Client] = {}
        self._sockets: dict[str, socket.socket] = {}
        self._open: httpx2.Response | None = None
        self._aborted = False

    @contextmanager
    def state(
        self, cursor: str | None, silence_seconds: float, *, at_least: int = 0
    ) -> Iterator[Iterator[bytes]]:
        """`GET /sync/v1/state`: from a cursor an open stream, without one a whole state.

        A portal that keeps whole states gives out none from before revision `at_least`.

        Yields the chunks of the body as they come.

        Raises:
            Refused, TooOld, SnapshotRequired, Unavailable: by the answer's status.
            LinkLost: no connection, a broken one, or silence for longer than allowed.
        """
        import httpx2

        path = "/sync/v1/state"
        headers = {"Accept": "application/x-ndjson"}
        if cursor is None:
            path += f"?at_least={at_least}" if at_least else ""
            # A stream is told at once what happened, a snapshot is told it cheaply.
            headers["Accept-Encoding"] = "identity" if self._is_near else "gzip"
        else:
            path += f"?cursor={quote(cursor)}&stream=1"
            headers["Accept-Encoding"] = "identity"
        timeout = httpx2.Timeout(_CONNECT_SECONDS, read=silence_seconds)
        try:
            # Never one that a report used: whose socket it is must be known, to shut it.
            client = self._client("state", kept_alive=0)
            with client.stream(
                "GET",
                self.url + path,
                headers=self._headers(headers),
                timeout=timeout,
                extensions={"trace": self._tracer("state")},
            ) as response:
                _check(response)
                self._open = response
                # Whichever of the two comes second sees the other.
                if self._aborted:
                    raise LinkLost("closed")
                yield response.iter_raw() if cursor else response.iter_bytes(2**20)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise LinkLost(f"{type(error).__name__}: {error}") from error
        finally:
            self._open = None

    def report(self, body: bytes) -> int:
        """`POST /sync/v1/report` on a connection kept alive; answers the status.

        Raises:
            LinkLost: no answer.
        """
        return self._post("report", body).status_code

    def usage(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """`POST /sync/v1/usage`; answers the status and, where it is JSON, what was said.

        Raises:
            Refused, TooOld, Unavailable: by the answer's status.
            LinkLost: no answer.
        """
        response = self._post("usage", body)
        _check_accepted(response.status_code)
        if response.status_code in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
            retry_seconds = _retry_seconds(response.headers.get("Retry-After"))
            raise Unavailable(str(response.status_code), retry_seconds)
        try:
            said = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            said = None
        return response.status_code, said if isinstance(said, dict) else {}

    def abort(self) -> None:
        """End what is under way, from another thread: readers meet the end of their stream."""
        with self._lock:
            self._aborted = True
            sockets = list(self._sockets.values())
        for each in sockets:
            # Of the plain socket also under TLS, whose own shutdown would wait for the peer.
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)
        response = self._open
        if response is not None and not sockets:
            response.close()

    def close(self) -> None:
        """Give the connections back, once no thread uses them any more."""
        for client in self._clients.values():
            client.close()

    # ---- inside ----

    def _post(self, purpose: str, body: bytes) -> "httpx2.Response":
        import httpx2

        try:
            return self._client(purpose, kept_alive=1).post(
                f"{self.url}/sync/v1/{purpose}",
                content=body,
                headers=self._headers({"Content-Type": "application/json"}),
                timeout=httpx2.Timeout(_REPORT_SECONDS, connect=_CONNECT_SECONDS),
                extensions={"trace": self._tracer(purpose)},
            )
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise LinkLost(f"{type(error).__name__}: {error}") from error

    @property
    def _is_near(self) -> bool:
        """Whether the portal runs on this machine: no proxy between, nothing zipped."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def _client(self, purpose: str, *, kept_alive: int) -> "httpx2.Client":
        import httpx2

        with self._lock:
            if self._aborted:
                raise LinkLost("closed")
            if purpose not in self._clients:
                self._clients[purpose] = httpx2.Client(
                    transport=self._transport,
                    limits=httpx2.Limits(
                        max_keepalive_connections=kept_alive, keepalive_expiry=_KEPT_ALIVE_SECONDS
                    ),
                    trust_env=not self._is_near,
                )
            return self._clients[purpose]

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        try:
            token = self._token if isinstance(self._token, str) else self._token()
        except (OSError, ValueError) as error:
            raise Refused(f"the token cannot be read: {error}") from error
        own = {"Authorization": f"Bearer {token}", "Sync-Version": str(WIRE_VERSION)}
        return {**own, **more}

    def _tracer(self, purpose: str) -> Callable[[str, dict[str, Any]], None]:
        """Learns which socket a request got, so that it can be shut from another thread."""

        def trace(event: str, info: dict[str, Any]) -> None:
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                with self._lock:
                    self._sockets[purpose] = info["return_value"].get_extra_info("socket")
                    aborted = self._aborted
                if aborted:
                    self.abort()

        return trace


def _check(response: "httpx2.Response") -> None:
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    _check_accepted(status)
    text = _words(status)
    if status in {HTTPStatus.CONFLICT, HTTPStatus.BAD_REQUEST}:
        raise SnapshotRequired(text)
    raise Unavailable(text, _retry_seconds(response.headers.get("Retry-After")))


def _check_accepted(status: int) -> None:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Refused(_words(status))
    if status == HTTPStatus.UPGRADE_REQUIRED:
        raise TooOld(f"{_words(status)}: it speaks a newer one than {WIRE_VERSION}")


def _words(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase if status in _KNOWN else ''}".strip()


def _retry_seconds(value: str | None) -> float:
    if value is None or not value.isascii() or not value.isdigit():
        return 0.0
    return min(float(value), _RETRY_MAX_SECONDS)


_KNOWN = frozenset(HTTPStatus)
