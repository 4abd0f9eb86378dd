"""The records of the sync API and the lines they travel in (SYNC.md 1 and 2, EXACT.md 7 to 12).

Hashes and the digest are always over the bytes as sent, never over a value written again.
A record with an unknown or missing field is unreadable as a whole: a gateway that guessed could
let through what a newer portal meant to refuse.
"""

import hashlib
import ipaddress
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import orjson

from plimsoll.contract import canonical
from plimsoll.contract.adjustments import Cap, Grant
from plimsoll.contract.limits import EXACT_BOUND, InvalidField

WIRE_VERSION = 1
DIGEST_MODULUS = 2**256

CHECKPOINT_ID = "log"

KEY_STATES = frozenset({"active", "paused", "revoked"})
ORG_STATES = frozenset({"active", "suspended"})
ENVIRONMENTS = frozenset({"live", "test"})


_Parsed = TypeVar("_Parsed")


class UnreadableRecord(ValueError):
    """The data of a record that this version cannot use."""


class MalformedLine(ValueError):
    """A line of the stream that is not a `put` line of this version."""


class MalformedCursor(ValueError):
    """A cursor that is not `<epoch>.<revision>.<first 8 hex digits of digest>`."""


# ---- one record ----


class KeyRecord(NamedTuple):
    """An API key as gateways know it (EXACT.md 10).

    `models` and `networks`: None = any, empty = none. `expires_at`: Unix seconds or None.
    A named tuple, since a gateway reads a million of them and a frozen dataclass is three times
    as slow to make.
    """

    hash: str
    org: str
    lineage: str
    environment: str
    state: str
    expires_at: int | None
    models: tuple[str, ...] | None
    networks: tuple[str, ...] | None
    caps: tuple[Cap, ...]

    @classmethod
    def parse(cls, data: bytes) -> "KeyRecord":
        """The record in the bytes of a `put` line's data.

        Raises:
            UnreadableRecord: a field is unknown, missing or wrong; the key counts as revoked.
        """
        return _parse_key(cls, _load(data))

    def to_wire(self) -> dict[str, Any]:
        """The fields as sent; encode them with `canonical.encode`."""
        return {
            "hash": self.hash,
            "org": self.org,
            "lineage": self.lineage,
            "environment": self.environment,
            "state": self.state,
            "expires_at": self.expires_at,
            "models": None if self.models is None else sorted(self.models),
            "networks": None if self.networks is None else sorted(self.networks),
            "caps": _sorted_objects(cap.to_wire() for cap in self.caps),
        }


class OrgRecord(NamedTuple):
    """An organisation as gateways know it: tier slug, state, grants (EXACT.md 11)."""

    tier: str
    state: str
    grants: tuple[Grant, ...]

    @classmethod
    def parse(cls, data: bytes) -> "OrgRecord":
        """The record in the bytes of a `put` line's data.

        Raises:
            UnreadableRecord: a field is unknown, missing or wrong. A gateway keeps what it had.
        """
        fields = _load(data)
        if fields.keys() != _ORG_FIELDS:
            raise UnreadableRecord("the fields of an org record do not fit")
        if not (isinstance(fields["tier"], str) and isinstance(fields["state"], str)):
            raise UnreadableRecord("tier or state is not a text")
        if fields["state"] not in ORG_STATES:
            raise UnreadableRecord("state is not known")
        return cls(fields["tier"], fields["state"], _parse_list(fields["grants"], Grant.parse))

    def to_wire(self) -> dict[str, Any]:
        """The fields as sent; encode them with `canonical.encode`."""
        grants = _sorted_objects(grant.to_wire() for grant in self.grants)
        return {"tier": self.tier, "state": self.state, "grants": grants}


class EntryRecord(NamedTuple):
    """A log entry; the bytes of its data are the leaf. `at` is Unix seconds."""

    at: int
    body: dict[str, Any]
    kind: str
    seq: int

    @classmethod
    def parse(cls, data: bytes) -> "EntryRecord":
        """The entry in the bytes of a leaf; what its body means is for `fold` and `rules` to say.

        Raises:
            UnreadableRecord: not canonical JSON, or not an entry.
        """
        try:
            fields = canonical.decode(data)
        except canonical.NotCanonical as error:
            raise UnreadableRecord(str(error)) from error
        if not isinstance(fields, dict) or fields.keys() != _ENTRY_FIELDS:
            raise UnreadableRecord("the fields of an entry do not fit")
        if not (_is_whole(fields["at"]) and _is_whole(fields["seq"])):
            raise UnreadableRecord("at or seq is not a whole number")
        if not (isinstance(fields["kind"], str) and isinstance(fields["body"], dict)):
            raise UnreadableRecord("kind is not a text or body not an object")
        return cls(fields["at"], fields["body"], fields["kind"], fields["seq"])

    def to_wire(self) -> dict[str, Any]:
        """The four fields; `canonical.encode` of them is the leaf."""
        return self._asdict()


class CheckpointRecord(NamedTuple):
    """The newest signed checkpoint; `checkpoint.verify` reads its text."""

    text: str

    @classmethod
    def parse(cls, data: bytes) -> "CheckpointRecord":
        """The record in the bytes of a `put` line's data.

        Raises:
            UnreadableRecord: not a checkpoint record.
        """
        fields = _load(data)
        if fields.keys() != _CHECKPOINT_FIELDS or not isinstance(fields["text"], str):
            raise UnreadableRecord("the fields of a checkpoint do not fit")
        return cls(fields["text"])

    def to_wire(self) -> dict[str, Any]:
        """The one field as sent."""
        return self._asdict()


# ---- hashes, digest, cursor ----


def record_hash(kind: str, record_id: str, data: bytes) -> bytes:
    """SHA-256 of `kind LF id LF data`, 32 bytes; `.hex()` is the form of EXACT.md 7."""
    return hashlib.sha256(f"{kind}\n{record_id}\n".encode() + data).digest()


def digest_after(digest: int, *, added: bytes | None = None, removed: bytes | None = None) -> int:
    """The digest after a record's hash came in or went out: a sum, so order means nothing."""
    if added is not None:
        digest += int.from_bytes(added)
    if removed is not None:
        digest -= int.from_bytes(removed)
    return digest % DIGEST_MODULUS


def digest_of(hashes: Iterable[bytes]) -> int:
    """The digest over the hashes of all records."""
    # One reduction at the end: the sum of a million hashes is only 20 bits longer than one.
    return sum(map(int.from_bytes, hashes)) % DIGEST_MODULUS


def digest_hex(digest: int) -> str:
    """The digest as 64 lower-case hex digits, big endian."""
    return f"{digest:064x}"


class Cursor(NamedTuple):
    """A position in the sync state; `str(cursor)` is its form on the wire (SYNC.md 1)."""

    epoch: str
    revision: int
    digest8: str

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor in its text form.

        Raises:
            MalformedCursor: anything else.
        """
        match = _CURSOR.fullmatch(text)
        if match is None or int(match[2]) >= EXACT_BOUND:
            raise MalformedCursor("a cursor is <epoch>.<revision>.<8 hex digits>")
        return cls(match[1], int(match[2]), match[3])

    @classmethod
    def at(cls, epoch: str, revision: int, digest: int | str) -> "Cursor":
        """The cursor of a commit, from its full digest (a number or its hex digits)."""
        digits = digest_hex(digest) if isinstance(digest, int) else digest
        return cls(epoch, revision, digits[:8])

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}.{self.digest8}"


# ---- lines (each ends in LF) ----


class Put(NamedTuple):
    """A `put` line taken apart; `data` is the record's bytes as sent."""

    kind: str
    id: str
    rev: int
    data: bytes


def put_line(kind: str, record_id: str, rev: int, data: bytes) -> bytes:  # noqa: PLR0917
    """One record; kind and id are plain ASCII names and need no escapes."""
    head = f'{{"t":"put","kind":"{kind}","id":"{record_id}","rev":{rev},"data":'
    return b"".join((head.encode("ascii"), data, b"}\n"))


def split_put(line: bytes) -> Put:
    """The parts of a `put` line, with or without its LF.

    Raises:
        MalformedLine: another form than that of EXACT.md 7. The data itself is not looked at.
    """
    match = _PUT.fullmatch(line)
    if match is None:
        raise MalformedLine("not a put line")
    kind, record_id, rev, data = match.groups()
    return Put(kind.decode("ascii"), record_id.decode("ascii"), int(rev), data)


def hello_line(*, epoch: str, since: int, head: int, heartbeat: int, now: int) -> bytes:
    """The first line of an answer; `since` is the cursor's revision, 0 for a snapshot."""
    fields = {"t": "hello", "epoch": epoch, "since": since, "head": head}
    return _line({**fields, "heartbeat": heartbeat, "now": now})


def commit_line(*, rev: int, count: int, digest: str, now: int) -> bytes:
    """The end of a batch: revision, number of records and digest (64 hex digits) after it."""
    return _line({"t": "commit", "rev": rev, "count": count, "digest": digest, "now": now})


def heartbeat_line(*, rev: int, digest: str, now: int) -> bytes:
    """A sign of life that never moves a cursor."""
    return _line({"t": "heartbeat", "rev": rev, "digest": digest, "now": now})


def bye_line(*, retry_ms: tuple[int, int], reason: str) -> bytes:
    """The end of a stream: come back after a random wait between the two, in milliseconds."""
    return _line({"t": "bye", "retry_ms": list(retry_ms), "reason": reason})


_KEY = operator.itemgetter(*KeyRecord._fields)
_ORG_FIELDS = frozenset(OrgRecord._fields)
_ENTRY_FIELDS = frozenset(EntryRecord._fields)
_CHECKPOINT_FIELDS = frozenset(CheckpointRecord._fields)

_SHA256_HEX_LENGTH = 64
_CURSOR = re.compile(r"([0-9a-f]{32})\.(0|[1-9][0-9]{0,15})\.([0-9a-f]{8})")
_PUT = re.compile(
    rb'\{"t":"put","kind":"([a-z_]{1,32})","id":"([A-Za-z0-9_.:-]{1,128})",'
    rb'"rev":([0-9]{1,16}),"data":(.*)\}\n?',
    re.DOTALL,
)


def _load(data: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UnreadableRecord(str(error)) from error
    if not isinstance(fields, dict):
        raise UnreadableRecord("not an object")
    return fields


def _parse_key(cls: type[KeyRecord], fields: dict[str, Any]) -> KeyRecord:
    # Read a million times at a start, hence one look-up for all fields and no call for what
    # most keys do not have.
    try:
        secret, org, lineage, environment, state, expires_at, models, networks, caps = _KEY(fields)
    except KeyError as error:
        raise UnreadableRecord("a field of a key record is missing") from error
    if len(fields) != len(KeyRecord._fields):
        raise UnreadableRecord("a field of a key record is not known")
    for text in (secret, org, lineage, environment, state):
        if type(text) is not str:
            raise UnreadableRecord("a field of a key record is not a text")
    if state not in KEY_STATES or environment not in ENVIRONMENTS:
        raise UnreadableRecord("state or environment is not known")
    if expires_at is not None and not _is_whole(expires_at):
        raise UnreadableRecord("expires_at is not a whole number")
    if len(secret) != _SHA256_HEX_LENGTH:
        raise UnreadableRecord("hash is not a SHA-256 in hex")
    return cls(
        secret,
        org,
        lineage,
        environment,
        state,
        expires_at,
        None if models is None else _parse_names(models),
        None if networks is None else _parse_networks(networks),
        () if caps == [] else _parse_list(caps, Cap.parse),
    )


def _parse_names(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UnreadableRecord("a list of names does not fit")
    return tuple(names)


def _parse_networks(networks: object) -> tuple[str, ...]:
    names = _parse_names(networks)
    for name in names:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            raise UnreadableRecord("a network is not a CIDR") from error
    return names


def _parse_list(values: object, parse: Callable[[object, str], _Parsed]) -> tuple[_Parsed, ...]:
    if not isinstance(values, list):
        raise UnreadableRecord("caps or grants is not a list")
    try:
        return tuple(parse(value, f"[{index}]") for index, value in enumerate(values))
    except InvalidField as error:
        raise UnreadableRecord(str(error)) from error


def _sorted_objects(objects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return sorted(map(dict, objects), key=canonical.encode)


def _is_whole(value: object) -> bool:
    return type(value) is int and 0 <= value < EXACT_BOUND


def _line(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
