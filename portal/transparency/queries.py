import base64
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plimsoll.contract import canonical, checkpoint, merkle
from plimsoll.contract.fold import Policy, fold
from portal.transparency.errors import LogUnverified
from portal.transparency.models import LogEntry, LogHead

LOGS_KEPT = 8


class SignedLog:
    """The entries that a checkpoint covers, verified, and the policies that follow from them.

    `checkpoint` is None before the first signature; then there are no entries.
    """

    def __init__(self, signed: checkpoint.Checkpoint | None, leaves: Sequence[str]) -> None:
        self.checkpoint = signed
        self.entries: list[dict[str, Any]] = [canonical.decode(leaf) for leaf in leaves]
        changes = fold(self.entries, 0).changes.values()
        announced = [change.announcement for change in changes]
        starts = {each.effective_at for each in announced}
        self._steps = sorted(starts | {each.expires_at for each in announced if each.expires_at})
        self._policies: dict[tuple[int, int | None], Policy] = {}

    @property
    def size(self) -> int:
        return len(self.entries)

    def policy(self, at: int, known_at: int | None = None) -> Policy:
        """The policy at Unix second `at`, as known at `known_at`; folded once per step."""
        # Between two effective instants nothing changes: a moving clock finds what was folded.
        step = bisect_right(self._steps, at)
        key = (self._steps[step - 1] if step else -1, known_at)
        if known_at is not None:
            return fold(self.entries, key[0], known_at)
        if key not in self._policies:
            self._policies[key] = fold(self.entries, key[0])
        return self._policies[key]

    def next_step(self, at: int) -> int | None:
        """The first instant after `at` at which a published change takes effect or ends."""
        step = bisect_right(self._steps, at)
        return self._steps[step] if step < len(self._steps) else None


NOTHING_SIGNED = SignedLog(None, [])
_logs: dict[str, SignedLog] = {}


def signed_log(session: Session) -> SignedLog:
    """The log as far as it is signed: one small query, and the entries only when they have grown.

    Size and root come from the checkpoint itself, whose signature is checked, and never from the
    columns beside it: what somebody wrote into the tables is not folded. Raises LogUnverified.
    """
    text = find_checkpoint(session)
    if text is None:
        return NOTHING_SIGNED
    if text not in _logs:
        verified = _verify(session, text)
        for old in list(_logs)[: 1 - LOGS_KEPT]:
            _logs.pop(old, None)
        _logs[text] = verified
    return _logs[text]


def _verify(session: Session, text: str) -> SignedLog:
    leaves = list_leaves(session)
    try:
        body = canonical.decode(leaves[0])["body"]
        signed = checkpoint.verify(text, body["origin"], base64.b64decode(body["public_key"]))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise LogUnverified(detail=f"the checkpoint does not verify: {error}") from error
    leaves = leaves[: signed.size]
    if merkle.root(leaf.encode() for leaf in leaves) != signed.root:
        raise LogUnverified(detail="the entries do not fit the checkpoint's root")
    return SignedLog(signed, leaves)


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
    opened = canonical.decode(leaves[0])["body"]
    return checkpoint.fingerprint(base64.b64decode(opened["public_key"]))
