"""One connection to the server of counters: a command out, its answer in.

The client library knows addresses, TLS and how to sign in. Once it has connected we speak over its
socket ourselves: it reads an answer in more time than the server takes to run a script.
"""

from contextlib import suppress
from typing import Any

import redis

from plimsoll import counters_script
from plimsoll.counters_script import bulk

_ANSWER_BYTES = 4096


class Line:
    """A connected line. One thread at a time; after any error it is of no more use."""

    def __init__(self, pool: Any) -> None:
        """Connect as a pool of the client's says, whose methods carry no types.

        Raises:
            redis.RedisError, OSError: the server is not there, or does not let us in.
        """
        self._connection = pool.make_connection()
        self._connection.connect()
        self._socket = self._connection._sock  # noqa: SLF001 - there is no other way to it

    def ask(self, sent: bytes) -> bytes | None:
        """The answer to one command as it is sent, with the script brought first if it is not known.

        Raises:
            redis.RedisError, OSError: the server failed, refused, or did not answer in time.
        """
        try:
            return self._exchanged(sent)
        except redis.exceptions.NoScriptError:
            self.bring_script()
            return self._exchanged(sent)

    def bring_script(self) -> None:
        """Let the server know the script."""
        self._exchanged(b"*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n" + bulk(counters_script.SCRIPT))

    def close(self) -> None:
        """Hang up."""
        with suppress(redis.RedisError, OSError):
            self._connection.disconnect()

    def _exchanged(self, sent: bytes) -> bytes | None:
        self._socket.sendall(sent)
        found = self._more(b"")
        while (end := found.find(b"\r\n")) < 0:
            found = self._more(found)
        kind, said = found[:1], found[1:end]
        if kind != b"$":
            raise _refusal(kind, said.decode(errors="replace"))
        if (length := int(said)) < 0:
            return None
        begin = end + 2
        while len(found) < begin + length + 2:
            found = self._more(found)
        return found[begin : begin + length]

    def _more(self, found: bytes) -> bytes:
        more: bytes = self._socket.recv(_ANSWER_BYTES)
        if not more:
            raise redis.ConnectionError("Connection closed by the server")
        return found + more


def _refusal(kind: bytes, said: str) -> redis.RedisError:
    if kind != b"-":
        return redis.InvalidResponse(f"an answer of another kind: {said}")
    if said.startswith("NOSCRIPT"):
        return redis.exceptions.NoScriptError(said)
    return redis.ResponseError(said)
