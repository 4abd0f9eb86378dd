import base64
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plimsoll.contract import canonical, checkpoint
from plimsoll.contract.fold import Policy, policy_of
from plimsoll.contract.history import History, read
from plimsoll.contract.merkle import Tree
from portal.transparency.errors import LogUnverified
from portal.transparency.models import LogEntry, LogHead, Trouble

LOGS_KEPT = 8
HISTORIES_KEPT = 16
POLICIES_KEPT = 256

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Timeline:
    """The policies that follow from a history, each folded once."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._steps = history.instants()
        promised = {notice.effective_at for notice in history.policies}
        # The notice promised is part of a policy, but no limit changes with it.
        self._edges = sorted({*self._steps, *promised})
        self._policies: dict[int, Policy] = {}

    def policy(self, at: int) -> Policy:
        """The policy at Unix second `at`."""
        # Between two instants nothing changes: a moving clock finds what was folded.
        edge = bisect_right(self._edges, at)
        start = self._edges[edge - 1] if edge else -1
        if start in self._policies:
            return self._policies[start]
        return _keep(self._policies, (start, policy_of(self.history, start)), most=POLICIES_KEPT)

    def next_step(self, at: int) -> int | None:
        """The first instant after `at` at which a published change takes effect or ends."""
        step = bisect_right(self._steps, at)
        return self._steps[step] if step < len(self._steps) else None


class SignedLog(Timeline):
    """The entries that a checkpoint covers, verified, and the policies that follow from them.

    `checkpoint` is None before the first signature; then there are no entries. Nobody appends to
    its `history`: who tries an entry takes a copy.
    """

    def __init__(
        self,
        signed: checkpoint.Checkpoint | None,
        entries: list[dict[str, Any]],
        *,
        tree: Tree,
        history: History,
    ) -> None:
        super().__init__(history)
        self.checkpoint = signed
        self.entries = entries
        self._tree = tree
        self._logged = [entry["at"] for entry in entries]
        self._known: dict[int, Timeline] = {}

    @property
    def size(self) -> int:
        return len(self.entries)

    def policy(self, at: int, known_at: int | None = None) -> Policy:
        """The policy at Unix second `at`, as known at `known_at`; folded once per step."""
        return super().policy(at) if known_at is None else self.known(known_at).policy(at)

    def known(self, known_at: int) -> Timeline:
        """What was known at `known_at`: the entries logged by then, and what follows from them."""
        count = bisect_right(self._logged, known_at)
        if count == self.size:
            return self
        if count in self._known:
            return self._known[count]
        made = Timeline(read(self.entries[:count]))
        return _keep(self._known, (count, made), most=HISTORIES_KEPT)

    def extended(self, text: str, leaves: Sequence[str]) -> "SignedLog":
        """The log with `leaves` behind it, if the checkpoint `text` covers just that.

        Raises ValueError, KeyError, TypeError, IndexError where it does not.
        """
        opened = self.entries[0] if self.entries else canonical.decode(leaves[0])
        origin, public_key = opened["body"]["origin"], opened["body"]["public_key"]
        signed = checkpoint.verify(text, origin, base64.b64decode(public_key))
        # Behind what is signed may stand anything: it is not even read.
        fresh = leaves[: max(0, signed.size - self.size)]
        entries = [canonical.decode(leaf) for leaf in fresh]
        tree, history = self._tree.copy(), self.history.copy()
        for entry, leaf in zip(entries, fresh, strict=True):
            tree.append(leaf.encode())
            history.append(entry)
        if (tree.size, tree.root()) != (signed.size, signed.root):
            raise ValueError("the entries do not fit the checkpoint's root")
        return SignedLog(signed, [*self.entries, *entries], tree=tree, history=history)


NOTHING_SIGNED = SignedLog(None, [], tree=Tree(), history=History())
_logs: dict[str, SignedLog] = {}


def signed_log(session: Session) -> SignedLog:
    """The log as far as it is signed: one small query, and the entries only when they have grown.

    Size and root come from the checkpoint itself, whose signature is checked, and never from the
    columns beside it: what somebody wrote into the tables is not folded. Raises LogUnverified.
    """
    text = find_checkpoint(session)
    if text is None:
        return NOTHING_SIGNED
    if text in _logs:
        return _logs[text]
    return _keep(_logs, (text, _verify(session, text)), most=LOGS_KEPT)


def _verify(session: Session, text: str) -> SignedLog:
    # A log grows: what was verified last is most likely its beginning, and then only what is new is
    # read. Where it is not, the root does not come out, and all is read.
    for known in list(_logs.values())[-1:]:
        try:
            return known.extended(text, list_leaves(session, start=known.size))
        except (LookupError, TypeError, ValueError):
            break
    try:
        return NOTHING_SIGNED.extended(text, list_leaves(session))
    except (LookupError, TypeError, ValueError) as error:
        raise LogUnverified(detail=f"the checkpoint does not verify: {error}") from error


def _keep(cache: dict[_Key, _Value], item: tuple[_Key, _Value], *, most: int) -> _Value:
    """Keep the newest `most`; several threads may do so at once."""
    for old in list(cache)[: 1 - most]:
        cache.pop(old, None)
    key, value = item
    cache[key] = value
    return value


@dataclass(frozen=True)
class LogStatus:
    """How the log stands, for the staff. `waiting` entries are not signed (yet)."""

    size: int
    root: str
    fingerprint: str | None
    signed_at: datetime | None
    waiting: int
    trouble: str | None
    kind: Trouble | None


def get_log_status(session: Session) -> LogStatus:
    """Read from the head's row as it is: it is what the trouble is about."""
    head = session.execute(select(LogHead)).scalar_one()
    return LogStatus(
        size=head.size,
        root=head.root,
        fingerprint=find_fingerprint(session),
        signed_at=head.signed_at,
        waiting=max(0, count_entries(session) - head.size),
        trouble=head.trouble,
        kind=head.trouble_kind,
    )


def policy(session: Session, at: int, known_at: int | None = None) -> Policy:
    """What the signed log says at Unix second `at`; with `known_at`, what was known of it then."""
    return signed_log(session).policy(at, known_at)


def find_checkpoint(session: Session) -> str | None:
    """The newest signed checkpoint's text."""
    return session.scalar(select(LogHead.text))


def find_trouble(session: Session) -> str | None:
    """Why the signer signs nothing more, for the staff's pages; None while all is well."""
    return session.scalar(select(LogHead.trouble))


def list_leaves(session: Session, *, start: int = 0, stop: int | None = None) -> list[str]:
    """The texts of the entries [start, stop), signed or not."""
    query = select(LogEntry.text).where(LogEntry.seq >= start).order_by(LogEntry.seq)
    if stop is not None:
        query = query.where(LogEntry.seq < stop)
    return list(session.scalars(query))


def count_entries(session: Session) -> int:
    """How many entries there are, signed or not."""
    return session.scalar(select(func.count()).select_from(LogEntry)) or 0


def find_fingerprint(session: Session) -> str | None:
    """The fingerprint of the key that the log was opened with, to pin; None before it is open."""
    leaves = list_leaves(session, stop=1)
    if not leaves:
        return None
    try:
        opened = canonical.decode(leaves[0])["body"]
        return checkpoint.fingerprint(base64.b64decode(opened["public_key"]))
    except (LookupError, TypeError, ValueError):
        return None  # what stands there opens no log, and the signer says so
