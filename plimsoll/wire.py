"""The lines of a state stream, taken apart (SYNC.md section 2).

Nothing is believed yet: a line that does not fit is a `ProtocolError`, and what the lines say
together is checked where a batch is committed.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import orjson

from plimsoll.contract.limits import EXACT_BOUND
from plimsoll.contract.records import MalformedLine, Put, split_put
from plimsoll.errors import ProtocolError

# A log entry is at most 1 MiB; nothing else comes near.
LINE_BYTES_MAX = 4 * 2**20

_EPOCH = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Hello(NamedTuple):
    """The beginning of an answer. `heartbeat` in seconds, `now` in Unix seconds."""

    epoch: str
    since: int
    head: int
    heartbeat: float
    now: int


class Commit(NamedTuple):
    """The end of a batch: the state's position after it."""

    rev: int
    records: int
    digest: int
    now: int


class Heartbeat(NamedTuple):
    """A sign of life: where the portal stands."""

    rev: int
    digest: int
    now: int


class Bye(NamedTuple):
    """The portal ends the stream; come back after a wait between the two, in milliseconds."""

    retry_ms: tuple[int, int]
    reason: str


class Other(NamedTuple):
    """A line of a kind that this version does not know: passed over."""

    kind: str


Message: TypeAlias = Put | Hello | Commit | Heartbeat | Bye | Other


class LineSplitter:
    """Cuts a byte stream into lines; what comes after the last LF waits for more."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are complete now, without their LF.

        Raises:
            ProtocolError: a line that is longer than any line can be.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            raise ProtocolError("a line does not end")
        return lines


def line_batches(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines of a body, together as they came.

    Raises:
        ProtocolError: a line that is longer than any line can be.
    """
    splitter = LineSplitter()
    for chunk in chunks:
        lines = splitter.feed(chunk)
        if lines:
            yield lines


def parse_line(line: bytes) -> Message:
    """One line of the stream.

    Raises:
        ProtocolError: not a line of the sync API.
    """
    try:
        if line.startswith(b'{"t":"put"'):
            return split_put(line)
        fields = orjson.loads(line)
        return _READERS.get(fields["t"], _other)(fields)
    except (MalformedLine, ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"a line cannot be read: {line[:80]!r}") from error


def _hello(fields: dict[str, Any]) -> Hello:
    heartbeat = fields["heartbeat"]
    if _EPOCH.fullmatch(fields["epoch"]) is None or not 0 < heartbeat < 86_400:  # noqa: PLR2004
        raise ValueError
    since, head, now = _whole(fields["since"]), _whole(fields["head"]), _whole(fields["now"])
    return Hello(fields["epoch"], since, head, float(heartbeat), now)


def _commit(fields: dict[str, Any]) -> Commit:
    rev, records, now = _whole(fields["rev"]), _whole(fields["count"]), _whole(fields["now"])
    return Commit(rev, records, _digest(fields["digest"]), now)


def _heartbeat(fields: dict[str, Any]) -> Heartbeat:
    return Heartbeat(_whole(fields["rev"]), _digest(fields["digest"]), _whole(fields["now"]))


def _bye(fields: dict[str, Any]) -> Bye:
    low, high = map(_whole, fields["retry_ms"])
    return Bye((min(low, high), high), str(fields["reason"]))


def _other(fields: dict[str, Any]) -> Other:
    return Other(str(fields["t"]))


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "hello": _hello,
    "commit": _commit,
    "heartbeat": _heartbeat,
    "bye": _bye,
}


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < EXACT_BOUND:
        raise ValueError
    return value


def _digest(value: str) -> int:
    if _DIGEST.fullmatch(value) is None:
        raise ValueError
    return int(value, 16)
