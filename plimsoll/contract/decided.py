"""What the log says of a feedback thread: that it was decided, and how.

The kind `decision.recorded` has no effect on any limit: `fold` goes past it. It stands in the log
so that nobody can reword a decision later: the text enters as its SHA-256 (LIMITS.md section 3).
"""

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from plimsoll.contract.acts import require_sha256
from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.broken import RuleBroken, RuleCode
from plimsoll.contract.limits import InvalidField, require_choice, require_fields, require_whole

DECISION_RECORDED = "decision.recorded"

_FIELDS = frozenset({"change", "id", "outcome", "reason_sha256", "thread"})
_ID = re.compile(r"dec_[0-9a-hjkmnp-tv-z]{26}")
_NO_REASON = hash_reason("")


class Outcome(StrEnum):
    """How a thread can be decided; "deferred" says until when in its text."""

    ADOPTED = "adopted"
    PARTLY = "partly"
    NOT_ADOPTED = "not_adopted"
    DEFERRED = "deferred"


@dataclass(frozen=True)
class DecisionRecorded:
    """The decision on thread number `thread`; `change` is the number of the change that came of it."""

    change: int | None
    id: str
    outcome: Outcome
    reason_sha256: str
    thread: int

    @classmethod
    def parse(cls, body: object) -> "DecisionRecorded":
        """The decision in the body of an entry.

        Raises:
            InvalidField: a field is unknown, missing or wrong.
        """
        fields = require_fields(body, "", required=_FIELDS)
        change, outcomes = fields["change"], [each.value for each in Outcome]
        return cls(
            None if change is None else require_whole(change, "change", least=1),
            _require_id(fields["id"]),
            Outcome(require_choice(fields["outcome"], "outcome", outcomes)),
            require_sha256(fields["reason_sha256"], "reason_sha256"),
            require_whole(fields["thread"], "thread", least=1),
        )

    def to_wire(self) -> dict[str, Any]:
        """The body of the entry."""
        return asdict(self)


def check_decision(
    decision: DecisionRecorded, *, changes: Collection[int], ids: Collection[str]
) -> None:
    """Whether a decision may follow a log that knows these changes and ids.

    Raises:
        RuleBroken: it may not; without `earliest`.
    """
    if decision.id in ids:
        raise RuleBroken(RuleCode.STATE, f"{decision.id} is recorded already")
    if decision.change is not None and decision.change not in changes:
        raise RuleBroken(RuleCode.CHANGE_NUMBER, f"there is no change {decision.change}")
    if decision.reason_sha256 == _NO_REASON:
        raise RuleBroken(RuleCode.REASON, "a decision says why: its reason is empty")


def _require_id(value: object) -> str:
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise InvalidField("id", "must be dec_ and 26 characters of base32")
    return value
