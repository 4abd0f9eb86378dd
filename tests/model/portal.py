"""A portal in memory that remembers all it ever was: what a gateway holds is judged by that.

`FakePortal` speaks the protocol; here nothing in it is left to chance, a stream is asked for its
news instead of waiting for them, and more can be done to it: two people who write at once,
compaction, a log that is forged.
"""

import copy
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from plimsoll.contract import records, tokens
from plimsoll.contract.limits import InvalidField
from plimsoll.contract.rules import RuleBroken
from plimsoll.testing import FakeKey, FakePortal, ManualClock
from tests.library.rig import small_catalog

QUOTA, DAY = 12, 86_400
LIMIT = {"kind": "window", "period": DAY}
FOREIGN_SEED = b"\x07" * 32

State = Mapping[tuple[str, str], bytes]


class ModelPortal(FakePortal):
    """The portal of the model; it has published one limit and has one organisation."""

    def __init__(self, clock: ManualClock) -> None:
        self._epochs = itertools.count(1)
        # By digest: where it stood (epoch, revision), and the state itself.
        self.states: dict[int, tuple[set[tuple[str, int]], State]] = {}
        self.ever: list[FakeKey] = []
        # Every log that was ever signed with the true key, as its leaves.
        self.signed: set[tuple[bytes, ...]] = set()
        # What the newest checkpoint covers; nothing where its signature is not the portal's.
        self.published: tuple[bytes, ...] = ()
        super().__init__(clock=clock)
        self.epoch = self._new_epoch()
        # Far apart, so that a flipped bit in one id does not make another.
        self._ids = (int(_sha(f"id {n}"), 16) % 10**26 for n in itertools.count())
        self.publish(small_catalog({**LIMIT, "quota": QUOTA}))
        self.org = self.add_org("build")
        self.keys: list[FakeKey] = []

    # ---- what is in it ----

    def issue(self) -> None:
        """Issue one more key to the organisation."""
        with self.batch():
            self.keys.append(self.add_key(self.org))
        self.ever.append(self.keys[-1])

    def add_key(self, org_id: str, **fields: object) -> FakeKey:
        """The same as ever, with a secret that is the same in each run."""
        key_id = f"key_{next(self._ids):026d}"
        letters = iter(_sha(f"secret {key_id}"))
        secret = tokens.build("plim_live_", tokens.new_body(lambda _: next(letters)))
        self.put_fields("key", key_id, key_fields(key_id, secret, org_id) | fields)
        return FakeKey(key_id, secret)

    def knows(self, key: FakeKey) -> bool:
        return ("key", key.id) in self._records

    def state_of(self, key: FakeKey) -> str:
        """`gone`, `unreadable`, or the state in its record."""
        if not self.knows(key):
            return "gone"
        return str(self.fields("key", key.id).get("state", "unreadable"))

    def set_key(self, key: FakeKey, state: str) -> None:
        """Pause, resume or revoke; what is revoked stays so."""
        if self.state_of(key) not in {"gone", "revoked"}:
            fields = key_fields(key.id, key.secret, self.org)
            self.put_fields("key", key.id, {**fields, "state": state})

    def garble_key(self, key: FakeKey) -> None:
        """Send a record that no gateway of this version can read."""
        if self.state_of(key) not in {"gone", "revoked"}:
            self.put_fields("key", key.id, {"hash": tokens.secret_digest(key.secret), "colour": 1})

    def set_org(self, state: str) -> None:
        """Suspend it, lift that, or send what cannot be read."""
        fields = {"tier": "build", "state": state, "grants": []}
        self.put_fields("org", self.org, fields if state != "unreadable" else {"colour": 1})

    def raise_quota(self) -> None:
        """Publish a change of the one limit, for the better and at once, if the rule allows it."""
        cell = {"tier": "build", "model": "m", "metric": "requests", **LIMIT}
        # With its clock set back a portal is before its own changes.
        with suppress(RuleBroken, InvalidField):
            self.announce({"rows": [{**cell, "quota": QUOTA + len(self._entries)}]})

    def fork(self) -> None:
        """Rewrite the newest entry, and sign that: another history of the same length."""
        last = self.entry(len(self._entries) - 1)
        other = _sha(str(last["body"]["reason_sha256"]))
        with self.batch():
            self.fork_log(last["seq"], {**last, "body": {**last["body"], "reason_sha256": other}})
            self.sign()

    def forge(self) -> None:
        """Append a change and sign it with another key, as somebody who holds only the database."""
        kept, signed = list(self._entries), set(self.signed)
        with self.batch():
            self.raise_quota()
            if len(self._entries) > len(kept):
                self.signed = signed
                self.sign(seed=FOREIGN_SEED)
        self._entries, self._history = kept, None

    def sign_less(self) -> None:
        """Sign the log as it was before the newest entry."""
        if len(self._entries) > 2:
            self.sign(size=len(self._entries) - 1)

    # ---- history ----

    def sign(self, *, seed: bytes | None = None, size: int | None = None) -> None:
        """Sign, and note what was signed with the true key."""
        if seed is not None:
            self.published = ()
            super().sign(seed=seed, size=size)
            return
        self.published = tuple(self._entries[:size])
        self.signed.add(self.published)
        super().sign(size=size)

    def _seal(self) -> None:
        super()._seal()
        self.note()

    def note(self) -> None:
        """Remember the state as it is now."""
        state = {identity: data for identity, (_, data) in self._records.items()}
        places, _ = self.states.setdefault(self.digest, (set(), state))
        places.add((self.epoch, self.revision))

    def rebuild(self, *, is_compact: bool = False) -> None:
        """A new epoch, with the same records or without those of revoked keys."""
        with self._changed:
            if is_compact:
                gone = [key for key in self.keys if self.state_of(key) == "revoked"]
                for key in gone:
                    self.forget("key", key.id)
            self.epoch = self._new_epoch()
            self._commits = {self.revision: self.digest}
            self.note()
        self.drop()

    def save(self) -> dict[str, Any]:
        """A backup of everything, usage and the log too."""
        more = {"keys": list(self.keys), "published": self.published}
        return {**super().save(), **more, "usage": copy.deepcopy(self.usage)}

    def go_back(self, backup: Mapping[str, Any], *, is_told: bool) -> None:
        """Restore an older backup; `is_told`: whoever did it began a new epoch, as they ought."""
        self.restore({**backup, "usage": copy.deepcopy(backup["usage"])})
        if is_told:
            self.rebuild()

    def _new_epoch(self) -> str:
        return _sha(f"epoch {next(self._epochs)}")[:32]

    # ---- answers ----

    def knows_cursor(self, cursor: records.Cursor) -> bool:
        """Whether a cursor is of this history."""
        digest = self._commits.get(cursor.revision)
        return digest is not None and cursor == records.Cursor.at(
            self.epoch, cursor.revision, digest
        )

    def watch(self, cursor: str | None) -> "Watch | None":
        """Begin an answer; None where a snapshot is required."""
        if cursor is None:
            return Watch(self, 0)
        place = records.Cursor.parse(cursor)
        return Watch(self, place.revision) if self.knows_cursor(place) else None

    def delta(self, since: int) -> list[bytes]:
        """The lines of the batch after a revision."""
        return self._delta(since)


class Watch:
    """One answer to `GET /sync/v1/state`; it says what is new when it is asked."""

    def __init__(self, portal: ModelPortal, since: int) -> None:
        self._portal = portal
        self._since = since
        self._is_begun = False

    def bursts(self) -> Iterator[list[bytes]]:
        """What would be sent now, one flush after the other."""
        portal = self._portal
        if not self._is_begun:
            self._is_begun = True
            yield [portal._hello(self._since)]
        elif portal.revision == self._since:
            return
        lines = portal.delta(self._since)
        self._since = portal.revision
        yield lines

    def beat(self) -> list[bytes]:
        return [self._portal._heartbeat()]


class Writer:
    """Somebody who changes a key, and commits later than others do."""

    def __init__(self, portal: ModelPortal, key: FakeKey, state: str) -> None:
        self.portal, self.key, self.state = portal, key, state
        # What this one saw when it began: no right commit is made of that.
        self.began_at = (portal.revision, portal.digest)

    def commit(self) -> None:
        """Seal: numbered at the commit, from what is there then."""
        self.portal.set_key(self.key, self.state)


def key_fields(key_id: str, secret: str, org_id: str) -> dict[str, object]:
    """The fields of an active key without any conditions."""
    return {
        "hash": tokens.secret_digest(secret),
        "org": org_id,
        "lineage": key_id,
        "environment": "live",
        "state": "active",
        "expires_at": None,
        "models": None,
        "networks": None,
        "caps": [],
    }


def readable_org(data: bytes) -> records.OrgRecord | None:
    """An organisation's record, None where it cannot be read."""
    try:
        return records.OrgRecord.parse(data)
    except (ValueError, TypeError):
        return None


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
