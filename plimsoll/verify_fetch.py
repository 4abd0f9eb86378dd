"""Fetching what `plimsoll verify` judges: the checkpoint, the entries that it covers, the limits.

Nothing that comes is believed here; sizes are bounded, since a stranger sends it.
"""

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

from plimsoll.clock import Clock
from plimsoll.contract.rules import ENTRY_BYTES_MAX
from plimsoll.errors import PlimsollError
from plimsoll.transport import portal_url

if TYPE_CHECKING:
    import httpx2

_NOTE_BYTES_MAX = 64 * 2**10
_DOCUMENT_BYTES_MAX = 32 * 2**20
_PAGE_BYTES_MAX = 1000 * (ENTRY_BYTES_MAX + 1)
_LOG_BYTES_MAX = 2**30
_ENTRIES_MAX = 10**6
_TIMEOUT_SECONDS = 30.0
_TRIES = 5
_SIZE = re.compile(r"[^\n]*\n([0-9]{1,15})\n")


class FetchFailed(PlimsollError):
    """The portal did not give what is needed; `step` names what that is about."""

    def __init__(self, step: str, text: str) -> None:
        super().__init__(text)
        self.step = step


class Fetched(NamedTuple):
    """One state of the log, and the document that was made from it at an instant between
    `since` and `until` (Unix seconds by this machine's clock)."""

    checkpoint: str
    leaves: tuple[bytes, ...]
    document: bytes
    since: int
    until: int


class Reader:
    """Reads from one portal."""

    def __init__(
        self, url: str, *, clock: Clock, transport: "httpx2.BaseTransport | None" = None
    ) -> None:
        """Nothing is sent yet. `transport` takes the network's place in tests.

        Raises:
            ValueError: the address is not one of HTTP.
        """
        self._url = portal_url(url)
        self._clock = clock
        self._transport = transport

    def fetch(self) -> Fetched:
        """The log and the document of one moment.

        Raises:
            FetchFailed: they cannot be had.
        """
        import httpx2

        # Caches on the way are asked to ask: a document of a minute ago may be another one's.
        headers = {"Cache-Control": "no-cache"}
        try:
            with httpx2.Client(
                transport=self._transport, timeout=_TIMEOUT_SECONDS, headers=headers
            ) as client:
                return self._fetch_settled(client)
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            text = f"{self._url} cannot be read: {type(error).__name__}: {error}"
            raise FetchFailed("connection", text) from error

    def _fetch_settled(self, client: "httpx2.Client") -> Fetched:
        # Who publishes meanwhile changes both log and document: only what did not change between
        # two looks belongs together.
        leaves: list[bytes] = []
        before = self._checkpoint(client)
        for _ in range(_TRIES):
            self._extend(client, leaves, _size(before))
            since = self._clock.now()
            document = self._get(client, "/limits.json", _DOCUMENT_BYTES_MAX)[0]
            until = self._clock.now()
            after = self._checkpoint(client)
            if after == before:
                return Fetched(before, tuple(leaves), document, int(since), int(until))
            before = after
        raise FetchFailed("connection", f"the log changed during each of {_TRIES} attempts")

    def _checkpoint(self, client: "httpx2.Client") -> str:
        note, _ = self._get(client, "/log/checkpoint", _NOTE_BYTES_MAX)
        try:
            return note.decode()
        except UnicodeDecodeError as error:
            raise FetchFailed("checkpoint", "it is not UTF-8") from error

    def _extend(self, client: "httpx2.Client", leaves: list[bytes], size: int) -> None:
        """Fetch the entries up to `size`, page by page; a portal that stops early is found later."""
        del leaves[size:]
        path: str | None = f"/log/entries?from={len(leaves)}&to={size}"
        if len(leaves) == size:
            return
        room = _LOG_BYTES_MAX
        while path is not None and len(leaves) < size:
            body, path = self._get(client, path, min(room, _PAGE_BYTES_MAX))
            lines = body.split(b"\n")
            if lines.pop() or not lines:
                return
            leaves.extend(lines)
            room -= len(body)
        if len(leaves) > size:
            raise FetchFailed("checkpoint", f"more entries came than the {size} asked for")

    def _get(self, client: "httpx2.Client", path: str, bytes_max: int) -> tuple[bytes, str | None]:
        """The body at a path of the portal, and the path of the next page."""
        with client.stream("GET", self._url + path) as response:
            if response.status_code != 200:  # noqa: PLR2004 - HTTP's own
                text = f"{path.partition('?')[0]} answers {response.status_code}"
                raise FetchFailed("connection", text)
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > bytes_max:
                    raise FetchFailed("connection", f"{path} sends more than {bytes_max} bytes")
            return bytes(body), self._next(path, response)

    def _next(self, path: str, response: "httpx2.Response") -> str | None:
        following = response.links.get("next", {}).get("url")
        if following is None:
            return None
        found = urljoin(self._url + path, following)
        if not found.startswith(f"{self._url}/"):
            raise FetchFailed("connection", f"the next page is said to be elsewhere: {found}")
        return found.removeprefix(self._url)


def _size(note: str) -> int:
    """The size in the second line; of what is no note at all nothing is fetched."""
    found = _SIZE.match(note)
    size = int(found[1]) if found else 0
    if size > _ENTRIES_MAX:
        raise FetchFailed("checkpoint", f"it says that there are {size} entries")
    return size
