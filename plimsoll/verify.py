"""`plimsoll verify URL`: check a portal's log and its published limits, trusting neither.

```
connection    everything can be fetched
checkpoint    the log's newest checkpoint is a signed note, and its entries are there
signature     it is signed by the pinned key
tree          the entries lead to its root
consistency   it extends the checkpoint that was kept from last time
rules         every entry obeyed the rule when it was logged
fold          the entries can be read in full
limits        /limits.json says what follows from them
```

What is kept from last time (key and checkpoint) is replaced only where every step succeeded.
"""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from plimsoll.clock import Clock, SystemClock
from plimsoll.contract import checkpoint, merkle, rules
from plimsoll.contract.fold import policy_of
from plimsoll.contract.history import History
from plimsoll.contract.records import EntryRecord, UnreadableRecord
from plimsoll.errors import PlimsollError
from plimsoll.verify_fetch import Fetched, FetchFailed, Reader
from plimsoll.verify_state import BadKeptFile, Keeper, Kept
from plimsoll.verify_table import differences

# The portal's clock and ours differ by some seconds, and the document has none (EXACT.md 18).
_CLOCKS_DIFFER_SECONDS = 5
_SHOWN_MAX = 3


class VerificationFailed(PlimsollError):
    """What the portal shows does not hold; `step` is the first that failed."""

    def __init__(self, step: str, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.text = text


class StepDone(NamedTuple):
    """A step that succeeded, and what was seen."""

    step: str
    text: str


def verify(
    url: str,
    *,
    keep_in: Path,
    fingerprint: str | None = None,
    clock: Clock | None = None,
    reader: Reader | None = None,
) -> Iterator[StepDone]:
    """Check the portal at `url` step by step; what was seen is kept in the folder `keep_in`.

    `fingerprint` (hex SHA-256) pins the log's key; else the one kept from last time is pinned, and
    at the first time whatever key the log was opened with.

    Raises:
        VerificationFailed: at the first step that fails; nothing is kept then.
        ValueError: the address is not one of HTTP.
    """
    keeper = Keeper(keep_in, url)
    try:
        fetched = (reader or Reader(url, clock=clock or SystemClock())).fetch()
    except FetchFailed as error:
        raise VerificationFailed(error.step, str(error)) from error
    yield StepDone("connection", f"{url} answers")
    judge = _Judge(fetched, keeper, fingerprint)
    for step in _STEPS:
        yield StepDone(step, getattr(judge, step)())
    keeper.keep(judge.seen)


_STEPS = ("checkpoint", "signature", "tree", "consistency", "rules", "fold", "limits")


class _Judge:
    """The steps on what was fetched. Each says what was seen, or raises VerificationFailed."""

    def __init__(self, fetched: Fetched, keeper: Keeper, fingerprint: str | None) -> None:
        self._fetched = fetched
        self._keeper = keeper
        self._fingerprint = fingerprint
        self._history = History()

    def checkpoint(self) -> str:
        """The note has the form of one, and all its entries came."""
        try:
            self._noted = checkpoint.read(self._fetched.checkpoint)
        except checkpoint.BadCheckpoint as error:
            raise VerificationFailed("checkpoint", str(error)) from error
        came = len(self._fetched.leaves)
        if came != self._noted.size:
            text = f"it covers {self._noted.size} entries, but {came} came"
            raise VerificationFailed("checkpoint", text)
        return f"{self._noted.size} entries of {self._noted.origin}"

    def signature(self) -> str:
        """The pinned key signed it, and opened the log."""
        try:
            self._kept = self._keeper.read()
        except BadKeptFile as error:
            raise VerificationFailed("signature", str(error)) from error
        origin, public_key = _opened(self._fetched.leaves)
        shown = checkpoint.fingerprint(public_key)
        if self._fingerprint is not None and shown != self._fingerprint.lower():
            text = f"the log was opened with the key {shown}, not with the pinned one"
            raise VerificationFailed("signature", text)
        if self._kept is not None and (origin, public_key) != self._kept.identity:
            text = f"this is another log than last time: {origin}, key {shown}"
            raise VerificationFailed("signature", f"{text} (kept in {self._keeper.path})")
        try:
            checkpoint.verify(self._fetched.checkpoint, origin, public_key)
        except checkpoint.BadCheckpoint as error:
            raise VerificationFailed("signature", str(error)) from error
        self.seen = Kept(origin, public_key, self._fetched.checkpoint)
        first = self._kept is None and self._fingerprint is None
        return f"by the key {shown}{', trusted since this is the first time' if first else ''}"

    def tree(self) -> str:
        """The entries, hashed, lead to the checkpoint's root."""
        if merkle.root(self._fetched.leaves) != self._noted.root:
            raise VerificationFailed("tree", "the entries do not lead to the checkpoint's root")
        return f"root {base64.b64encode(self._noted.root).decode()}"

    def consistency(self) -> str:
        """What was signed last time is the beginning of what is signed now."""
        if self._kept is None:
            return "nothing was kept yet to compare with"
        try:
            before = checkpoint.verify(self._kept.checkpoint, *self._kept.identity)
        except checkpoint.BadCheckpoint as error:
            text = f"the checkpoint kept in {self._keeper.path} does not verify: {error}"
            raise VerificationFailed("consistency", text) from error
        if before.size > self._noted.size:
            text = f"{before.size} entries were signed last time, now only {self._noted.size}"
            raise VerificationFailed("consistency", text)
        if merkle.root(self._fetched.leaves[: before.size]) != before.root:
            text = f"the first {before.size} entries are not those of last time: a forked history"
            raise VerificationFailed("consistency", text)
        return f"extends the {before.size} entries of last time"

    def rules(self) -> str:
        """Every entry, in its turn, was one that the rule allows."""
        for seq, leaf in enumerate(self._fetched.leaves):
            try:
                entry = EntryRecord.parse(leaf).to_wire()
                rules.check_next(self._history, entry, entry["at"])
            except (UnreadableRecord, rules.RuleBroken) as error:
                raise VerificationFailed("rules", f"entry {seq}: {error}") from error
            self._history.append(entry)
        return f"all {self._history.size} entries are lawful"

    def fold(self) -> str:
        """The log can be read to its end, by this version of the library."""
        if self._history.problem is not None:
            raise VerificationFailed("fold", self._history.problem)
        policy = policy_of(self._history, self._fetched.until)
        return f"{len(policy.limits)} limits on {len(policy.tiers)} tiers in force"

    def limits(self) -> str:
        """The document is the one that follows, at an instant while it was fetched."""
        found: list[str] = []
        for at in self._possible_instants():
            found = differences(self._fetched.document, self._history, at)
            if not found:
                return "/limits.json says just that"
        more = len(found) - _SHOWN_MAX
        shown = [*found[:_SHOWN_MAX], *([f"and {more} more"] if more > 0 else [])]
        raise VerificationFailed("limits", "; ".join(shown))

    def _possible_instants(self) -> list[int]:
        """One in each span of time in which the document may have been made, the likeliest last."""
        start = self._fetched.since - _CLOCKS_DIFFER_SECONDS
        end = self._fetched.until + _CLOCKS_DIFFER_SECONDS
        steps = self._history.instants()
        return [start, *steps[bisect_left(steps, start) : bisect_right(steps, end)]]


def _opened(leaves: tuple[bytes, ...]) -> tuple[str, bytes]:
    """Origin and key that the log was opened with; whether it was lawfully is for the rules to say."""
    try:
        body = EntryRecord.parse(leaves[0]).body
        origin, public_key = body["origin"], base64.b64decode(body["public_key"], validate=True)
    except (UnreadableRecord, LookupError, TypeError, binascii.Error) as error:
        raise VerificationFailed("signature", "entry 0 names no key") from error
    if not isinstance(origin, str):
        raise VerificationFailed("signature", "entry 0 names no origin")
    return origin, public_key
