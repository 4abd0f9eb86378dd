"""The log of `plimsoll.testing.FakePortal`: it publishes what the rule allows, and signs it.

What a test is about to break goes past the rule: `log`, `fork_log`, and `sign` with a seed.
"""

import base64
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from plimsoll.contract import acts, canonical, checkpoint, history, merkle, records, rules
from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.catalog import parse_catalog
from plimsoll.contract.draft import compose, parse_draft, withdrawals
from plimsoll.contract.history import History

_SEED = hashlib.sha256(b"plimsoll.testing").digest()
_WORDS = {"title": "A change", "reason": "To test."}


class FakeLog(ABC):
    """What a fake portal has published. Each act is signed and is a commit, as at a portal.

    Instants are given as seconds from now. What the rule forbids raises
    `plimsoll.contract.rules.RuleBroken`, and `plimsoll.contract.limits.InvalidField` a change
    that cannot be read; nothing is then published.
    """

    def __init__(self, origin: str) -> None:
        """An empty log of this name."""
        self.origin = origin
        self._entries: list[bytes] = []
        self._history: History | None = None

    @property
    @abstractmethod
    def now(self) -> int:
        """The portal's time in whole Unix seconds."""

    @abstractmethod
    def batch(self) -> AbstractContextManager[None]:
        """What changes inside is one commit."""

    @abstractmethod
    def put(self, kind: str, record_id: str, data: bytes) -> None:
        """Set a record to any bytes."""

    # ---- lawful ----

    def publish(self, catalog: Mapping[str, Any], *, effective_in: int = 0) -> None:
        """Open the log and publish a catalogue as change 1, signed; effective in so many seconds."""
        parsed = parse_catalog(catalog)
        public_key = base64.b64encode(checkpoint.public_key_of(_SEED)).decode()
        notice = dict(rules.DEFAULT_NOTICE)
        opened = {"origin": self.origin, "public_key": public_key, "notice": notice}
        reason = hash_reason(parsed.reason)
        body = parsed.announcement_body(_change_id(1), self.now + effective_in, reason)
        with self.batch():
            self.log(rules.OPENED, opened)
            self.log(rules.ANNOUNCED, body)
            self.sign()

    def announce(
        self,
        change: Mapping[str, Any],
        *,
        effective_in: int | None = None,
        expires_in: int | None = None,
    ) -> int:
        """Publish the content of a change file (title and reason may be absent); its number."""
        fields: dict[str, Any] = {**_WORDS, **change}
        if effective_in is not None:
            fields["effective_at"] = self.now + effective_in
        if expires_in is not None:
            fields["expires_at"] = self.now + expires_in
        draft = parse_draft(fields)
        known = self.history
        number = len(known.changes) + 1
        announced = compose(known, draft, at=self.now, change_id=_change_id(number))
        replaced = [(act.kind, act.to_wire()) for act in withdrawals(draft, number=number)]
        self._append(*replaced, (rules.ANNOUNCED, announced.to_wire()))
        return number

    def hold(self, number: int, *, reason: str = "To test.") -> None:
        """Hold an announced change."""
        self._act(acts.Held(number, reason))

    def release(self, number: int, *, effective_in: int) -> None:
        """Release a held change."""
        expires_at = self._expires_at(number, self.now + effective_in)
        self._act(acts.Released(number, self.now + effective_in, expires_at))

    def reschedule(self, number: int, *, effective_in: int) -> None:
        """Give an announced change another instant; one that ends keeps its length."""
        expires_at = self._expires_at(number, self.now + effective_in)
        self._act(acts.Rescheduled(number, self.now + effective_in, expires_at))

    def withdraw(self, number: int, *, reason: str = "To test.") -> None:
        """Withdraw an announced change, or end an emergency cut."""
        self._act(acts.Withdrawn(number, reason, None))

    def amend(self, number: int, *, title: str, reason: str = "To test.") -> None:
        """Give a change other words."""
        self._act(acts.Amended(number, title, hash_reason(reason)))

    def change_notice(self, *, effective_in: int = 0, **notice: int) -> None:
        """Change fields of the notice policy."""
        now = {**self.history.notice_at(self.now), **notice}
        changed = acts.PolicyChanged(self.now + effective_in, now, hash_reason("To test."))
        self._append((changed.kind, changed.to_wire()))

    @property
    def history(self) -> History:
        """What the log says, signed or not. Treat it as read-only."""
        if self._history is None:
            self._history = history.read(map(self.entry, range(len(self._entries))))
        return self._history

    # ---- of any kind ----

    def log(self, kind: str, body: Mapping[str, Any]) -> None:
        """Append an entry, unsigned and unchecked."""
        self._write({"at": self.now, "body": dict(body), "kind": kind, "seq": len(self._entries)})

    def sign(self, *, seed: bytes = _SEED, size: int | None = None) -> None:
        """Sign a checkpoint over the first `size` entries, by default all."""
        entries = self._entries[:size]
        root = merkle.root(entries)
        text = checkpoint.sign(origin=self.origin, size=len(entries), root=root, private_key=seed)
        self.put("checkpoint", records.CHECKPOINT_ID, canonical.encode({"text": text}))

    def fork_log(self, seq: int, entry: Mapping[str, Any]) -> None:
        """Rewrite an entry, as a log that is not append-only would."""
        self._entries[seq] = canonical.encode(dict(entry))
        self._history = None
        self.put("entry", str(seq), self._entries[seq])

    def entry(self, seq: int) -> dict[str, Any]:
        """An entry of the log."""
        value: dict[str, Any] = canonical.decode(self._entries[seq])
        return value

    @property
    def entries(self) -> list[dict[str, Any]]:
        """All entries of the log."""
        return [self.entry(seq) for seq in range(len(self._entries))]

    # ---- inside ----

    def _act(self, act: acts.AnyAct) -> None:
        self._append((act.kind, act.to_wire()))

    def _append(self, *new: tuple[str, dict[str, Any]]) -> None:
        trial = self.history.copy()
        entries: list[dict[str, Any]] = []
        for kind, body in new:
            seq = len(self._entries) + len(entries)
            entries.append({"at": self.now, "body": body, "kind": kind, "seq": seq})
            rules.check_next(trial, entries[-1], self.now)
            trial.append(entries[-1])
        with self.batch():
            for entry in entries:
                self._write(entry)
            self.sign()

    def _write(self, entry: dict[str, Any]) -> None:
        if self._history is not None:
            self._history.append(entry)
        leaf = canonical.encode(entry)
        self._entries.append(leaf)
        self.put("entry", str(entry["seq"]), leaf)

    def _expires_at(self, number: int, effective_at: int) -> int | None:
        change = self.history.changes[number]
        if change.expires_at is None:
            return None
        return effective_at + change.expires_at - change.effective_at


def _change_id(number: int) -> str:
    return f"chg_{number:026d}"
