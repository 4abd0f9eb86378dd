"""A TCP proxy that harms what passes between gateways and their portal, one lane for each gateway.

A program of its own, so that it can be killed like any other part:
`python -m tests.faults.proxy '{"upstream": 5000, "control": 5001, "lanes": [5002], "seed": 1}'`.
It is told what to do by lines of JSON on its control port, and answers each with one.

It understands as much of HTTP/1.1 as it takes to change lines of an open NDJSON stream and keep the
framing valid. Gateways on the portal's machine ask for no compression; what is packed passes as it is.
"""

import asyncio
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

PIECE = 65_536
SLICE_MAX = 7
RESET_AT_ONCE = struct.pack("ii", 1, 0)
HELLO = b'{"t":"hello"'


@dataclass(frozen=True)
class Faults:
    """What a lane does to what passes; nothing unless told."""

    # Seconds that each piece is late, both ways.
    latency: float = 0.0
    # Nothing passes and nothing ends.
    half_open: bool = False
    # Pieces of one to seven bytes.
    sliced: bool = False
    # What comes from the portal is kept for so many seconds, then given out at once.
    hold: float = 0.0
    # The share of the stream's lines that meet each.
    drop: float = 0.0
    duplicate: float = 0.0
    swap: float = 0.0
    flip: float = 0.0


class LineHarm:
    """Changes a stream of lines: some lost, doubled, put behind the next, or with a bit turned."""

    def __init__(self, faults: Callable[[], Faults], chance: random.Random) -> None:
        self._faults = faults
        self._chance = chance
        self._rest = b""
        self._behind: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines to give out now, each with its LF."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [each for line in lines for each in self._harmed(line + b"\n")]

    def end(self) -> list[bytes]:
        """What is still owed when the stream ends."""
        owed, self._behind = [*self._behind, *([self._rest] if self._rest else [])], []
        return owed

    def _harmed(self, line: bytes) -> list[bytes]:
        faults = self._faults()
        if self._meets(faults.drop):
            return []
        if self._meets(faults.swap) and not self._behind:
            self._behind.append(line)
            return []
        if self._meets(faults.flip):
            line = self._flipped(line)
        behind, self._behind = self._behind, []
        return [line, *([line] if self._meets(faults.duplicate) else []), *behind]

    def _meets(self, share: float) -> bool:
        return share > 0 and self._chance.random() < share

    def _flipped(self, line: bytes) -> bytes:
        place = self._chance.randrange(len(line) - 1)
        turned = line[place] ^ (1 << self._chance.randrange(8))
        return line[:place] + bytes([turned]) + line[place + 1 :]


class Answers:
    """The answers on one connection: passes them on byte for byte, but for the lines of a stream."""

    def __init__(self, harm: Callable[[], LineHarm], on_hello: Callable[[], object]) -> None:
        self._make_harm = harm
        self._on_hello = on_hello
        self._buffer = b""
        self._harm: LineHarm | None = None
        self._step: Callable[[], bytes | None] = self._head
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """What to pass on of what has come."""
        self._buffer += data
        parts = []
        while (part := self._step()) is not None:
            parts.append(part)
        return b"".join(parts)

    def _head(self) -> bytes | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        self._buffer = rest
        first, *fields = head.lower().split(b"\r\n")
        named = dict(each.split(b":", 1) for each in fields)
        said = {name.strip(): value.strip() for name, value in named.items()}
        is_stream = said.get(b"content-type", b"").startswith(b"application/x-ndjson")
        if said.get(b"transfer-encoding") == b"chunked":
            self._harm = (
                self._make_harm() if is_stream and b"content-encoding" not in said else None
            )
            self._step = self._chunk_size
        elif b"content-length" in said or first.split()[1] == b"204":
            self._left = int(said.get(b"content-length", b"0"))
            self._step = self._body
        else:
            self._step = self._until_the_end
        return head + end

    def _until_the_end(self) -> bytes | None:
        part, self._buffer = self._buffer, b""
        return part or None

    def _body(self) -> bytes | None:
        if self._left == 0:
            self._step = self._head
            return b""
        part, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(part)
        return part or None

    def _chunk_size(self) -> bytes | None:
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            return None
        self._left, self._buffer = int(line.split(b";")[0], 16), rest
        self._step = self._chunk if self._left else self._last_chunk
        return b""

    def _chunk(self) -> bytes | None:
        if len(self._buffer) < self._left + 2:
            return None
        data, self._buffer = self._buffer[: self._left], self._buffer[self._left + 2 :]
        self._step = self._chunk_size
        lines = [data] if self._harm is None else self._harm.feed(data)
        # Each line is a chunk of its own, so that none waits for what follows.
        return b"".join(map(self._framed, lines))

    def _last_chunk(self) -> bytes | None:
        if len(self._buffer) < 2:
            return None
        self._buffer, self._step = self._buffer[2:], self._head
        owed = [] if self._harm is None else self._harm.end()
        return b"".join(map(self._framed, owed)) + b"0\r\n\r\n"

    def _framed(self, data: bytes) -> bytes:
        if self._harm is not None and data.startswith(HELLO):
            self._on_hello()
        return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(eq=False)
class Connection:
    """One connection from a gateway, with ours to the portal."""

    number: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    is_stream: bool = False

    def reset(self) -> None:
        """End it the hard way: the peers get an RST."""
        for writer in self.writers:
            ours = writer.get_extra_info("socket")
            if ours is not None:
                with suppress(OSError):
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            writer.transport.abort()


class Lane:
    """One gateway's way to the portal."""

    def __init__(self, number: int, upstream: int, chance: random.Random) -> None:
        self.number = number
        self.faults = Faults()
        # (monotonic seconds, lane, connection, what): hellos that passed, and ends of their streams.
        self.events: list[tuple[float, int, int, str]] = []
        self._upstream = upstream
        self._chance = chance
        self._open: set[Connection] = set()
        self._count = 0
        self._passing = asyncio.Event()
        self._passing.set()

    def set(self, faults: Faults) -> None:
        """Behave so from now on, for connections that are open too."""
        self.faults = faults
        (self._passing.clear if faults.half_open else self._passing.set)()

    def reset(self) -> int:
        """Reset every connection; how many they were."""
        doomed = list(self._open)
        for connection in doomed:
            connection.reset()
        return len(doomed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from beginning to end."""
        self._count += 1
        connection = Connection(self._count, [writer])
        self._open.add(connection)
        try:
            await self._join(connection, reader, writer)
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            if connection.is_stream:
                self._note(connection, "closed")
            for each in connection.writers:
                each.close()

    async def _join(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        connection.writers.append(up_writer)

        def greeted() -> None:
            connection.is_stream = True
            self._note(connection, "hello")

        answers = Answers(lambda: LineHarm(lambda: self.faults, self._chance), greeted)
        pumps = [
            asyncio.ensure_future(self._pump(reader, up_writer, None)),
            asyncio.ensure_future(self._pump(up_reader, writer, answers)),
        ]
        # Whichever side ends first ends both, as the kernel would for a process that died.
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Answers | None
    ) -> None:
        while data := await reader.read(PIECE):
            await self._passing.wait()
            if answers is not None and self.faults.hold:
                data += await self._held(reader, self.faults.hold)
            if self.faults.latency:
                await asyncio.sleep(self.faults.latency)
            await self._passing.wait()
            for piece in self._pieces(data if answers is None else answers.feed(data)):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        await self._passing.wait()

    async def _held(self, reader: asyncio.StreamReader, seconds: float) -> bytes:
        held, ends_at = b"", time.monotonic() + seconds
        with suppress(TimeoutError):
            while (left := ends_at - time.monotonic()) > 0:
                more = await asyncio.wait_for(reader.read(PIECE), left)
                held += more
                if not more:
                    break
        return held

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        place = 0
        while place < len(data):
            size = self._chance.randint(1, SLICE_MAX) if self.faults.sliced else PIECE
            yield data[place : place + size]
            place += size

    def _note(self, connection: Connection, what: str) -> None:
        self.events.append((time.monotonic(), self.number, connection.number, what))


class Proxy:
    """All lanes, and the control port."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        chance = random.Random(plan["seed"])  # noqa: S311 - chance by a seed
        self.lanes = [
            Lane(number, plan["upstream"], chance) for number in range(len(plan["lanes"]))
        ]

    async def run(self) -> None:
        for lane, port in zip(self.lanes, self._plan["lanes"], strict=True):
            await asyncio.start_server(lane.serve, "127.0.0.1", port)
        control = await asyncio.start_server(self._control, "127.0.0.1", self._plan["control"])
        await control.serve_forever()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(self.obey(json.loads(line))).encode() + b"\n")
            await writer.drain()
        writer.close()

    def obey(self, order: dict[str, Any]) -> Any:
        """One order: `set` faults, `reset` a lane, or tell the `events` since a place."""
        if order["do"] == "events":
            return [lane.events[order["since"][lane.number] :] for lane in self.lanes]
        lane = self.lanes[order["lane"]]
        if order["do"] == "reset":
            return lane.reset()
        lane.set(replace(Faults(), **order["faults"]))
        return True


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(Proxy(json.loads(sys.argv[1])).run())
