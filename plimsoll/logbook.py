"""The verified log and the limits that follow from it (LIMITS.md section 3).

A gateway takes no limit from anybody's word. It folds the public log, and of the log only what a
checkpoint covers that is signed by the pinned key, extends what was verified before, and keeps
the rules entry by entry.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

from plimsoll.contract import rules
from plimsoll.contract.fold import Policy, fold
from plimsoll.contract.merkle import Tree
from plimsoll.contract.records import EntryRecord, UnreadableRecord
from plimsoll.errors import LogProblem
from plimsoll.tables import LogStep


class _InForce(NamedTuple):
    """A policy and the half-open span of Unix seconds in which it is the one."""

    policy: Policy
    start: float
    end: float


class Logbook:
    """The entries that were verified, and what they say at an instant."""

    def __init__(
        self,
        leaves: list[bytes],
        *,
        origin: str | None = None,
        public_key: bytes | None = None,
        fingerprint: str | None = None,
    ) -> None:
        """Go on from a stored log; `fingerprint` pins the key before the first entry is seen."""
        self._tree = Tree()
        self._leaves: list[bytes] = []
        self._entries: list[dict[str, Any]] = []
        self.origin = origin
        self.public_key = public_key
        self._fingerprint = fingerprint
        self._in_force: _InForce | None = None
        self._instants: list[int] = []
        self.known_tiers: frozenset[str] = frozenset()
        self._extend(leaves)

    @property
    def size(self) -> int:
        """Number of verified entries."""
        return self._tree.size

    # ---- taking in ----

    def examine(self, leaf_at: Callable[[int], bytes | None], text: str) -> LogStep | None:
        """Check a checkpoint and the entries up to it; None when it says nothing new.

        `leaf_at` gives the received text of an entry. Nothing changes before `accept`.

        Raises:
            LogProblem: the log cannot be accepted; what was verified stays in force.
        """
        origin, public_key = self._pinned(leaf_at)
        size, root = _verified(text, origin, public_key)
        if size <= self.size:
            self._compare(size, root)
            return None
        tree, leaves = self._tree.copy(), []
        for seq in range(self.size, size):
            leaf = leaf_at(seq)
            if leaf is None:
                raise LogProblem("log_incomplete", f"entry {seq} is missing")
            tree.append(leaf)
            leaves.append(leaf)
        if tree.root() != root:
            raise LogProblem("log_forked", f"the entries do not lead to the root at size {size}")
        self._check_rules(leaves)
        return LogStep(self.size, tuple(leaves), origin, public_key, text)

    def accept(self, step: LogStep) -> None:
        """Go on from an examined step, once it is in the store."""
        self.origin, self.public_key = step.origin, step.public_key
        self._extend(step.leaves)

    # ---- asking ----

    def policy(self, at: float) -> Policy:
        """The limits in force at a Unix second; folded once per effective instant."""
        known = self._in_force
        if known is None or not known.start <= at < known.end:
            known = self._in_force = self._fold(int(at))
        return known.policy

    def holds_until(self, at: float) -> float:
        """The next instant at which another policy may be in force; infinity if none is known."""
        place = bisect_right(self._instants, at)
        return self._instants[place] if place < len(self._instants) else float("inf")

    # ---- inside ----

    def _fold(self, at: int) -> _InForce:
        place = bisect_right(self._instants, at)
        start = self._instants[place - 1] if place else float("-inf")
        return _InForce(fold(self._entries, at), start, self.holds_until(at))

    def _extend(self, leaves: list[bytes] | tuple[bytes, ...]) -> None:
        for leaf in leaves:
            self._tree.append(leaf)
            self._leaves.append(leaf)
            self._entries.append(EntryRecord.parse(leaf).to_wire())
        bodies = [entry["body"] for entry in self._entries if entry["kind"].startswith("change.")]
        marks = [body.get(name) for body in bodies for name in ("effective_at", "expires_at")]
        self._instants = sorted({at for at in marks if isinstance(at, int)})
        offers = [offer for body in bodies for offer in body.get("offers", ())]
        self.known_tiers = frozenset(offer["tier"] for offer in offers if offer["offered"])
        self._in_force = None

    def _pinned(self, leaf_at: Callable[[int], bytes | None]) -> tuple[str, bytes]:
        if self.origin is not None and self.public_key is not None:
            return self.origin, self.public_key
        leaf = leaf_at(0)
        if leaf is None:
            raise LogProblem("log_incomplete", "entry 0 is missing")
        origin, public_key = _opened(leaf)
        # Trust on first use, unless the operator gave the fingerprint that enrolment printed.
        if self._fingerprint is not None and _fingerprint(public_key) != self._fingerprint:
            raise LogProblem("log_unsigned", "the log's key is not the pinned one")
        return origin, public_key

    def _compare(self, size: int, root: bytes) -> None:
        tree = Tree()
        for leaf in self._leaves[:size]:
            tree.append(leaf)
        if tree.root() != root:
            raise LogProblem("log_forked", f"another history at size {size}")
        if size < self.size:
            raise LogProblem("log_behind", f"size {size}, verified up to {self.size}")

    def _check_rules(self, leaves: list[bytes]) -> None:
        entries = list(self._entries)
        for seq, leaf in enumerate(leaves, len(entries)):
            try:
                entry = EntryRecord.parse(leaf).to_wire()
                rules.check(entries, entry, entry["at"])
            except (UnreadableRecord, rules.RuleBroken) as error:
                raise LogProblem("entry_refused", f"entry {seq}: {error}") from error
            entries.append(entry)


def _verified(text: str, origin: str, public_key: bytes) -> tuple[int, bytes]:
    # The signature library takes longer to load than all the rest of a restart.
    from plimsoll.contract import checkpoint

    try:
        _, size, root = checkpoint.verify(text, origin, public_key)
    except checkpoint.BadCheckpoint as error:
        raise LogProblem("log_unsigned", str(error)) from error
    return size, root


def _fingerprint(public_key: bytes) -> str:
    from plimsoll.contract import checkpoint

    return checkpoint.fingerprint(public_key)


def _opened(leaf: bytes) -> tuple[str, bytes]:
    try:
        entry = EntryRecord.parse(leaf)
        origin = entry.body["origin"]
        public_key = base64.b64decode(entry.body["public_key"], validate=True)
    except (UnreadableRecord, KeyError, TypeError, binascii.Error) as error:
        raise LogProblem("entry_refused", "entry 0 does not open a log") from error
    if entry.kind != "log.opened" or not isinstance(origin, str):
        raise LogProblem("entry_refused", "entry 0 does not open a log")
    return origin, public_key
