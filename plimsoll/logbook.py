"""The verified log and the limits that follow from it (LIMITS.md section 3).

A gateway takes no limit from anybody's word. It folds the public log, and of the log only what a
checkpoint covers that is signed by the pinned key, extends what was verified before, and keeps
the rules entry by entry.

An entry that this version does not understand is kept, since it is part of what was signed, and
folding stops there: the limits of before stay. A newer version reads the same store, judges what
was not judged yet, and goes on.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from plimsoll.contract import history as contract
from plimsoll.contract import rules
from plimsoll.contract.fold import Policy
from plimsoll.contract.merkle import Tree
from plimsoll.contract.records import EntryRecord, UnreadableRecord
from plimsoll.errors import LogProblem
from plimsoll.standing import Standing
from plimsoll.tables import LogStep


class Examined(NamedTuple):
    """A step that may be taken: what the store has to write, and how the log then stands."""

    step: LogStep
    tree: Tree
    standing: Standing


class Logbook:
    """The entries that were verified, and what they say at an instant."""

    def __init__(
        self,
        leaves: Sequence[bytes],
        *,
        judged: int = 0,
        origin: str | None = None,
        public_key: bytes | None = None,
        fingerprint: str | None = None,
    ) -> None:
        """Go on from a stored log, of which the first `judged` entries were found lawful.

        `fingerprint` pins the key before the first entry is seen.
        """
        self.origin = origin
        self.public_key = public_key
        self._fingerprint = fingerprint
        self._leaves = list(leaves)
        self._tree = Tree()
        for leaf in leaves:
            self._tree.append(leaf)
        # Replaced as a whole: whoever asks sees the log before a step or after it.
        self.standing = _restored(leaves, judged)

    @property
    def size(self) -> int:
        """Number of verified entries."""
        return self.standing.size

    @property
    def problem(self) -> LogProblem | None:
        """Why folding stopped at a verified entry; None while all are understood."""
        return self.standing.problem

    # ---- taking in ----

    def examine(self, leaf_at: Callable[[int], bytes | None], text: str) -> Examined | None:
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
        standing = _continued(self.standing, leaves)
        step = LogStep(self.size, tuple(leaves), origin, public_key, text, standing.judged)
        return Examined(step, tree, standing)

    def accept(self, examined: Examined) -> None:
        """Go on from an examined step, once it is in the store."""
        step = examined.step
        self.origin, self.public_key = step.origin, step.public_key
        self._leaves.extend(step.leaves)
        self._tree = examined.tree
        self.standing = examined.standing

    # ---- asking ----

    @property
    def known_tiers(self) -> frozenset[str]:
        """The tiers that the verified log ever offered something on."""
        return self.standing.known_tiers

    def policy(self, at: float) -> Policy:
        """The limits in force at a Unix second."""
        return self.standing.policy(at)

    # ---- inside ----

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
        tree = self._tree
        if size < self.size:
            tree = Tree()
            for leaf in self._leaves[:size]:
                tree.append(leaf)
        if tree.root() != root:
            raise LogProblem("log_forked", f"another history at size {size}")
        if size < self.size:
            raise LogProblem("log_behind", f"size {size}, verified up to {self.size}")


def _restored(leaves: Sequence[bytes], judged: int) -> Standing:
    """How a stored log stands. It was verified: what is wrong in it stops the fold, no more."""
    history, stopped = contract.History(), None
    for seq, leaf in enumerate(leaves[:judged]):
        # Its form was checked when it came; checking again would double the time of a start.
        with suppress(ValueError):
            history.append(orjson.loads(leaf))
        if history.problem is not None or history.size <= seq:
            text = f"entry {seq}: a newer version has stored it"
            stopped = LogProblem(contract.NOT_UNDERSTOOD, text, seq=seq)
            break
    standing = Standing.first(history, size=len(leaves[:judged]), problem=stopped)
    try:
        return _continued(standing, leaves[judged:])
    except LogProblem as refused:
        lawful = leaves[judged : refused.seq]
        return _continued(standing, lawful).stopped(refused, size=len(leaves))


def _continued(standing: Standing, leaves: Sequence[bytes]) -> Standing:
    """The log with more entries, each judged with those before it.

    Raises:
        LogProblem: an entry breaks the rule; `seq` says which.
    """
    history, problem = standing.history.copy(), standing.problem
    for seq, leaf in enumerate(leaves, standing.size):
        if problem is not None:
            break
        problem = _judge(history, _parsed(leaf, seq), seq)
    return standing.followed_by(history, size=standing.size + len(leaves), problem=problem)


def _judge(history: contract.History, entry: dict[str, Any], seq: int) -> LogProblem | None:
    """Append a lawful entry; the problem where the history cannot go on from this one."""
    text = ""
    try:
        rules.check_next(history, entry, entry["at"])
    except rules.NotUnderstood as error:
        text = str(error)
    except rules.RuleBroken as error:
        raise LogProblem("entry_refused", f"entry {seq}: {error}", seq=seq) from error
    # A new kind that says nothing of limits stops no fold: the history itself knows which do.
    history.append(entry)
    if history.problem is None:
        return None
    return LogProblem(contract.NOT_UNDERSTOOD, f"entry {seq}: {text}", seq=seq)


def _parsed(leaf: bytes, seq: int) -> dict[str, Any]:
    try:
        return EntryRecord.parse(leaf).to_wire()
    except UnreadableRecord as error:
        raise LogProblem("entry_refused", f"entry {seq}: {error}", seq=seq) from error


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
