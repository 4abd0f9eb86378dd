"""What a gateway knows: the stored records, read when asked for, and the verified log.

The follower changes it, enforcers ask it. A key is looked up in the store by the SHA-256 of its
secret and kept in memory until a commit touches it, so a gateway starts in milliseconds with a
million keys, and what a commit changed is seen by the next request.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from plimsoll.clock import Clock, PortalTime, SystemClock
from plimsoll.contract.fold import Policy
from plimsoll.contract.networks import Network, parse_networks
from plimsoll.contract.records import (
    CHECKPOINT_ID,
    DIGEST_MODULUS,
    CheckpointRecord,
    KeyRecord,
    OrgRecord,
    Put,
    record_hash,
)
from plimsoll.errors import DigestMismatch, LogProblem
from plimsoll.logbook import Examined, Logbook
from plimsoll.reading import Nack, is_revoked, row_of
from plimsoll.snapshot import Snapshot
from plimsoll.store import Store
from plimsoll.tables import Head, Row, secret_in
from plimsoll.wire import Commit

_CACHED_MAX = 100_000
_NACKS_MAX = 100
_TEXT_MAX = 200


class Key(NamedTuple):
    """A key as it stands; `record` is None when its text cannot be read, which counts as revoked.

    `plans` belongs to the enforcer: limits that hold for this key alone.
    """

    id: str
    record: KeyRecord | None
    is_revoked: bool
    networks: tuple[Network, ...] | None
    models: frozenset[str] | None
    plans: dict[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Org:
    """An organisation as it stands; `plans` belongs to the enforcer."""

    id: str
    record: OrgRecord
    fallback: str | None
    plans: dict[Any, Any] = field(default_factory=dict)


class Replica:
    """The state over an open store. One per process; threads may share it."""

    def __init__(
        self, store: Store, *, clock: Clock | None = None, fingerprint: str | None = None
    ) -> None:
        """Take up what the store holds; `fingerprint` pins the log's key (SHA-256 in hex)."""
        self.store = store
        self.clock = clock or SystemClock()
        self.time = PortalTime(self.clock)
        self._refused_step: LogProblem | None = None
        # Where what can be seen stands. The store is there a moment earlier: it commits first.
        self.head: Head | None = store.head
        # Mutable beside the frozen views: keys by secret, organisations by id.
        self._keys: dict[bytes, Key] = {}
        self._orgs: dict[str, Org] = {}
        self._lock = threading.Lock()
        self._generation = 0
        # What the store could not take, as on a full disk: a revocation holds all the same.
        self._revoked: set[str] = set()
        self._nacks: list[Nack] = []
        self.logbook = Logbook(
            store.log_leaves(),
            judged=store.meta.get("log_judged", 0),
            origin=store.meta.get("log_origin"),
            public_key=store.meta.get("log_key"),
            fingerprint=fingerprint,
        )
        if self.logbook.problem is not None:
            self._nacks.append(_log_nack(self.logbook.problem))
        self._examine_stored()

    # ---- asking ----

    @property
    def is_ready(self) -> bool:
        """Whether there is a state to decide from."""
        return self.head is not None

    @property
    def log_problem(self) -> LogProblem | None:
        """What stands in the way of the newest limits: of the last checkpoint, else of an entry."""
        return self._refused_step or self.logbook.problem

    def policy(self) -> Policy:
        """The published limits in force now."""
        return self.logbook.policy(self.time.now())

    def key(self, secret: bytes) -> Key | None:
        """The key with this SHA-256 of its secret (32 bytes)."""
        known = self._keys.get(secret)
        if known is not None:
            return known
        generation = self._generation
        found = self.store.find_key(secret)
        if found is None:
            return None
        row, seen_revoked = found
        key = _key_of(row, seen_revoked=seen_revoked or row.id in self._revoked)
        self._remember(secret, key, generation=generation)
        return key

    def org(self, org_id: str) -> Org | None:
        """The organisation, with its last readable record; None if there never was one."""
        known = self._orgs.get(org_id)
        if known is not None:
            return known
        generation = self._generation
        row = self.store.find("org", org_id)
        record = None if row is None else _org_record(row)
        if row is None or record is None:
            return None
        org = Org(org_id, record, row.fallback)
        self._remember(org_id, org, generation=generation)
        return org

    def heard_at(self) -> int | None:
        """When the portal was last heard, by our own clock (Unix seconds), also before this start.

        None if never.
        """
        age = self.time.age_seconds()
        if age is not None:
            return int(self.clock.now() - age)
        stored: int | None = self.store.meta.get("heard_at")
        return stored

    def age_seconds(self) -> float | None:
        """How long ago the portal was last heard; None if never."""
        heard_at = self.heard_at()
        return None if heard_at is None else max(0.0, self.clock.now() - heard_at)

    def take_nacks(self) -> list[Nack]:
        """What could not be read since the last call; each is handed out once."""
        with self._lock:
            nacks, self._nacks = self._nacks, []
        return nacks

    # ---- changing ----

    def commit(self, puts: Sequence[Put], commit: Commit, epoch: str) -> None:
        """Verify a batch, make it durable with its cursor, and let it be seen.

        Raises:
            DigestMismatch: the batch does not add up; nothing has changed.
        """
        latest = _latest(puts, commit, self.head)
        olds = {
            identity: self.store.find(*identity, secret=secret_in(put.data))
            for identity, put in latest.items()
        }
        head = _added_up(self.head, latest, olds, epoch=epoch, commit=commit)
        nacks: list[Nack] = []
        rows = [
            row_of(put, olds[identity], known_tiers=self.logbook.known_tiers, nacks=nacks)
            for identity, put in latest.items()
        ]
        examined = self._examine(latest, nacks)
        step = None if examined is None else examined.step
        revoked = [put.id for put in latest.values() if is_revoked(put)]
        try:
            self.store.apply(rows, head, log=step, revoked=revoked, at=int(self.time.now()))
        except sqlite3.Error:
            self.revoke(revoked)
            raise
        self._accept(examined)
        self._forget([*rows, *(row for row in olds.values() if row is not None)])
        self.head = head
        self.nack(nacks)

    def revoke_at_once(self, puts: Iterable[Put]) -> None:
        """Take the revocations, and only those, from records that did not add up."""
        self.revoke([put.id for put in puts if is_revoked(put)])

    def revoke(self, key_ids: Sequence[str]) -> None:
        """Count keys as revoked from now on, for 90 days, whatever records say."""
        if not key_ids:
            return
        self._revoked.update(key_ids)
        self._forget_all()
        with suppress(sqlite3.Error):
            self.store.overlay(key_ids, int(self.time.now()))

    def snapshot(self, epoch: str) -> Snapshot:
        """Begin to load a whole state beside the present one; `swap` then puts it in place."""
        return Snapshot(self.store, epoch, known_tiers=self.logbook.known_tiers)

    def swap(self, snapshot: Snapshot) -> None:
        """Verify a loaded snapshot and put it in place of the present state.

        Raises:
            DigestMismatch: it does not add up; the present state stays.
        """
        head = snapshot.verify()
        examined = self._examine(snapshot.log_records, snapshot.nacks)
        step = None if examined is None else examined.step
        snapshot.swap(head, log=step, at=int(self.time.now()))
        self._accept(examined)
        self._forget_all()
        self.head = head
        self.nack(snapshot.nacks)

    def nack(self, nacks: Iterable[Nack]) -> None:
        """Queue what the portal should hear that we could not use."""
        with self._lock:
            self._nacks = [*self._nacks, *nacks][:_NACKS_MAX]

    # ---- inside ----

    def _examine_stored(self) -> None:
        """Judge again the checkpoint that was refused before this start: by another pin, it may be right."""
        row = self.store.find("checkpoint", CHECKPOINT_ID)
        if row is None:
            return
        # Verifying takes longer than all the rest of a start: what was accepted is known by its text.
        with suppress(ValueError, TypeError):
            if CheckpointRecord.parse(row.data).text == self.store.meta.get("log_text"):
                return
        put = Put(row.kind, row.id, row.revision, row.data)
        examined = self._examine({(put.kind, put.id): put}, self._nacks)
        if examined is None or self.head is None:
            return
        try:
            self.store.apply((), self.head, log=examined.step, revoked=(), at=0)
        except sqlite3.Error as error:
            self._refused_step = LogProblem("log_incomplete", f"it cannot be kept: {error}")
        else:
            self._accept(examined)

    def _examine(self, latest: "_Latest", nacks: list[Nack]) -> Examined | None:
        received = latest.get(("checkpoint", CHECKPOINT_ID))
        if received is None:
            return None

        def leaf_at(seq: int) -> bytes | None:
            put = latest.get(("entry", str(seq))) or self.store.find("entry", str(seq))
            return None if put is None else put.data

        self._refused_step = None
        try:
            examined = self.logbook.examine(leaf_at, CheckpointRecord.parse(received.data).text)
        except LogProblem as problem:
            self._refused_step = problem
        except (ValueError, TypeError) as error:
            self._refused_step = LogProblem("unreadable", str(error))
        else:
            stopped = None if examined is None else examined.standing.problem
            if stopped is not None and self.logbook.problem is None:
                nacks.append(_log_nack(stopped))
            return examined
        nacks.append(_log_nack(self._refused_step))
        return None

    def _accept(self, examined: Examined | None) -> None:
        if examined is not None:
            self.logbook.accept(examined)

    def _remember(self, name: bytes | str, value: Key | Org, *, generation: int) -> None:
        with self._lock:
            # A commit that came between the look-up and now may have changed what was read.
            if generation != self._generation:
                return
            cache: dict[Any, Any] = self._keys if isinstance(value, Key) else self._orgs
            if len(cache) >= _CACHED_MAX:
                cache.clear()
            cache[name] = value

    def _forget(self, rows: Iterable[Row]) -> None:
        with self._lock:
            self._generation += 1
            for row in rows:
                if row.secret is not None:
                    self._keys.pop(row.secret, None)
                if row.kind == "org":
                    self._orgs.pop(row.id, None)

    def _forget_all(self) -> None:
        with self._lock:
            self._generation += 1
            self._keys.clear()
            self._orgs.clear()


_Latest: TypeAlias = dict[tuple[str, str], Put]


def _latest(puts: Sequence[Put], commit: Commit, head: Head | None) -> _Latest:
    # No digest covers the revision: it is that of the newest record, else the one that we have.
    newest = max((put.rev for put in puts), default=head.revision if head else 0)
    if newest != commit.rev:
        raise DigestMismatch(f"a commit at {commit.rev} of records up to {newest}")
    # What was undone since adds up again, if its batch comes twice: only a snapshot goes back.
    if head is not None and commit.rev < head.revision:
        raise DigestMismatch(f"a commit at {commit.rev}, behind our {head.revision}")
    latest: _Latest = {}
    for put in puts:
        known = latest.get((put.kind, put.id))
        if known is None or known.rev < put.rev:
            latest[put.kind, put.id] = put
    return latest


def _added_up(
    head: Head | None,
    latest: _Latest,
    olds: dict[tuple[str, str], Row | None],
    *,
    epoch: str,
    commit: Commit,
) -> Head:
    digest, records = (head.digest, head.records) if head else (0, 0)
    for identity, put in latest.items():
        old = olds[identity]
        if old is None:
            records += 1
        else:
            digest -= int.from_bytes(record_hash(old.kind, old.id, old.data))
        digest += int.from_bytes(record_hash(put.kind, put.id, put.data))
    digest %= DIGEST_MODULUS
    if (digest, records) != (commit.digest, commit.records):
        raise DigestMismatch(f"{len(latest)} records do not lead to revision {commit.rev}")
    return Head(epoch, commit.rev, records, digest)


def _log_nack(problem: LogProblem) -> Nack:
    kind, name = ("checkpoint", "log") if problem.seq is None else ("entry", str(problem.seq))
    return Nack(kind, name, problem.code, problem.text[:_TEXT_MAX])


def _key_of(row: Row, *, seen_revoked: bool) -> Key:
    try:
        record = KeyRecord.parse(row.data)
        networks = parse_networks(record.networks)
    except (ValueError, TypeError):
        return Key(row.id, None, is_revoked=True, networks=None, models=None, plans={})
    revoked = seen_revoked or record.state == "revoked"
    models = None if record.models is None else frozenset(record.models)
    return Key(row.id, record, is_revoked=revoked, networks=networks, models=models, plans={})


def _org_record(row: Row) -> OrgRecord | None:
    try:
        return OrgRecord.parse(row.data if row.good is None else row.good)
    except (ValueError, TypeError):
        return None
