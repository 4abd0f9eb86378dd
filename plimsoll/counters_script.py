"""The script of shared counters, `counters.lua`, and how it is called (EXACT.md 30)."""

import hashlib
import struct
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

from plimsoll.contract.limits import Kind, Limit
from plimsoll.contract.windows import State

SCRIPT = (files("plimsoll") / "counters.lua").read_bytes()
# Of each metric, in the order of `METRIC_ORDER`.
NOTHING = (0,) * 6

_KINDS = {Kind.BUCKET: 1, Kind.WINDOW: 2, Kind.CONCURRENCY: 3}


def sha_of(script: bytes) -> bytes:
    """What a script is called by."""
    return hashlib.sha1(script, usedforsecurity=False).hexdigest().encode()


SHA = sha_of(SCRIPT)


def bulk(text: bytes) -> bytes:
    """One argument of a command, as it is sent."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


# The head of a route, the record, the act, what is asked, states, what is our own, and a note.
_CALL = b"%b$%d\r\n%b\r\n%b$48\r\n%b\r\n" + 3 * b"$%d\r\n%b\r\n"
_AMOUNTS = _SHAPE = struct.Struct(">6q")


class Answer(NamedTuple):
    """What the server said: its time, whether it was done, and per limit state and wait."""

    now_us: int
    is_done: bool
    states: list[State]
    waits: list[int]


class Route:
    """Some limits as the script knows them, with the bytes that are the same in every call."""

    __slots__ = ("acts", "count", "head", "keys", "pairs", "replies", "shapes")

    def __init__(self, keys: Sequence[bytes], shapes: bytes) -> None:
        """`keys` by `key_of`, `shapes` one after the other by `shape_of`."""
        self.keys, self.shapes, self.count = keys, shapes, len(keys)
        fixed = [b"EVALSHA", SHA, b"%d" % (self.count + 1), *keys]
        self.head = b"*%d\r\n" % (len(fixed) + 7) + b"".join(map(bulk, fixed))
        self.acts = {act: bulk(act) + bulk(shapes) for act in (b"decide", b"settle", b"read")}
        self.pairs = struct.Struct(f">{2 * self.count}q")
        self.replies = struct.Struct(f">{2 + 3 * self.count}q")

    def packet(
        self,
        act: bytes,
        record: bytes,
        *,
        amounts: tuple[int, ...] = NOTHING,
        states: bytes = b"",
        own: bytes = b"",
        note: bytes = b"",
    ) -> bytes:
        """One call of the script, as it is sent."""
        return _CALL % (
            *(self.head, len(record), record, self.acts[act], _AMOUNTS.pack(*amounts)),
            *(len(states), states, len(own), own, len(note), note),
        )

    def pack(self, pairs: Sequence[int]) -> bytes:
        """A pair of numbers for each limit."""
        return self.pairs.pack(*pairs)

    def answer(self, found: object) -> Answer | None:
        """What the script said; None if it could not be asked."""
        if not isinstance(found, bytes):
            return None
        now_us, is_done, *rest = self.replies.unpack(found)
        return Answer(now_us, bool(is_done), list(zip(rest[::3], rest[1::3])), rest[2::3])  # noqa: B905 - one length


def key_of(owner: str, counter: str) -> bytes:
    """The key of an organisation's counter, or of a lineage's; in braces what a cluster keeps together."""
    org, colon, rest = owner.partition(":")
    return f"plim:{{{org}}}{colon}{rest}:{counter}".encode()


def counter_name(key: bytes) -> str:
    """What a gateway calls the counter of a key; not that of requests in flight, which has no quota."""
    org, _, rest = key.decode().removeprefix("plim:{").partition("}")
    return org + rest


def record_key(decision_id: str, org: str) -> bytes:
    """The key of an admitted request until it is settled."""
    return f"plim:{{{org}}}:decision:{decision_id}".encode()


def shape_of(limit: Limit, metric: int, *, is_charged: bool) -> bytes:
    """A limit as the script knows it; `metric` is its place in `METRIC_ORDER`."""
    kind, period = limit.cell.kind, limit.cell.period
    unit = period * 1000 if isinstance(period, int) else 0
    values = (limit.quota, _capacity(limit))
    return _SHAPE.pack(_KINDS[kind], metric + 1, *values, unit, int(is_charged))


def shapes_now(shapes: bytes, limits: Sequence[Limit | None]) -> bytes:
    """The shapes with the quotas of these limits, where they are known."""
    now = []
    for place, limit in enumerate(limits):
        shape = shapes[place * _SHAPE.size : (place + 1) * _SHAPE.size]
        if limit is not None:
            kind, metric, _, _, unit, charged = _SHAPE.unpack(shape)
            shape = _SHAPE.pack(kind, metric, limit.quota, _capacity(limit), unit, charged)
        now.append(shape)
    return b"".join(now)


def _capacity(limit: Limit) -> int:
    return limit.quota if limit.burst is None else limit.burst if limit.quota else 0
