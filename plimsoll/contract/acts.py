"""What happens to a change after it was announced: the bodies of the later kinds of entries.

LIMITS.md section 3 names the kinds, EXACT.md 14 says what they carry: the number of the change and
only what changes. Instants are Unix seconds.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import fields as fields_of
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

from plimsoll.contract.limits import (
    InvalidField,
    instant_or_none,
    require_fields,
    require_instant,
    require_whole,
)
from plimsoll.contract.terms import TITLE_LENGTH_MAX, require_text

AMENDED = "change.amended"
HELD = "change.held"
RELEASED = "change.released"
RESCHEDULED = "change.rescheduled"
WITHDRAWN = "change.withdrawn"
POLICY_CHANGED = "policy.changed"

REASON_LENGTH_MAX = 200
# What is promised for longer could be taken back by nobody who promised it.
PROMISE_SECONDS_MAX = 10 * 365 * 86_400

_HOUR = 3600
_DAY = 24 * _HOUR
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")

# The notice policy as it stands in `log.opened` (the table of LIMITS.md section 2, "Notice").
DEFAULT_NOTICE: Mapping[str, int] = MappingProxyType(
    {
        # How long before its effective instant a tightening or mixed change is published,
        "tightening_seconds": 30 * _DAY,
        # and the retirement of a tier or an offer.
        "retirement_seconds": 90 * _DAY,
        # The least that a released tightening lies ahead, counted from the release.
        "released_seconds": 7 * _DAY,
        # A tightening is held if fewer owners than this were handed their mail by then.
        "delivery_percent": 90,
        "delivery_seconds": _DAY,
        # How long an emergency cut lasts at most, how often it is extended,
        "emergency_seconds": 72 * _HOUR,
        "emergency_extensions": 1,
        # and how long the same cells are left alone after an extended one.
        "emergency_pause_seconds": 30 * _DAY,
    }
)
# For these more is weaker; for all others less is.
WEAKER_IF_MORE = frozenset({"delivery_seconds", "emergency_seconds", "emergency_extensions"})


@dataclass(frozen=True)
class Act:
    """One later entry about change number `change`."""

    kind: ClassVar[str]
    change: int

    def to_wire(self) -> dict[str, Any]:
        """The body of the entry."""
        return asdict(self)


@dataclass(frozen=True)
class Amended(Act):
    """Other words for the same change; `reason_sha256` from `announcement.hash_reason`."""

    kind = AMENDED
    title: str
    reason_sha256: str


@dataclass(frozen=True)
class Held(Act):
    """The change takes no effect before it is released."""

    kind = HELD
    reason: str


@dataclass(frozen=True)
class Released(Act):
    """A held change takes effect after all, at an instant of its own."""

    kind = RELEASED
    effective_at: int
    expires_at: int | None


@dataclass(frozen=True)
class Rescheduled(Act):
    """An announced change takes effect at another instant."""

    kind = RESCHEDULED
    effective_at: int
    expires_at: int | None


@dataclass(frozen=True)
class Withdrawn(Act):
    """The change never takes effect, or (an emergency cut in force) ends now.

    `replaced_by` is the number of the change that the next entries announce in its stead.
    """

    kind = WITHDRAWN
    reason: str
    replaced_by: int | None


@dataclass(frozen=True)
class PolicyChanged:
    """Another notice policy, in force from `effective_at`."""

    kind: ClassVar[str] = POLICY_CHANGED
    effective_at: int
    notice: Mapping[str, int]
    reason_sha256: str

    @classmethod
    def parse(cls, body: object) -> "PolicyChanged":
        """The policy in the body of an entry.

        Raises:
            InvalidField: a field is unknown, missing or wrong.
        """
        required = frozenset({"effective_at", "notice", "reason_sha256"})
        fields = require_fields(body, "", required=required)
        return cls(
            require_instant(fields["effective_at"], "effective_at"),
            parse_notice(fields["notice"], "notice"),
            require_sha256(fields["reason_sha256"], "reason_sha256"),
        )

    def to_wire(self) -> dict[str, Any]:
        """The body of the entry."""
        return {
            "effective_at": self.effective_at,
            "notice": dict(self.notice),
            "reason_sha256": self.reason_sha256,
        }


AnyAct: TypeAlias = Amended | Held | Released | Rescheduled | Withdrawn

_ACTS: Mapping[str, type[AnyAct]] = {
    each.kind: each for each in (Amended, Held, Released, Rescheduled, Withdrawn)
}
KINDS = frozenset(_ACTS)


def parse_act(kind: str, body: object) -> AnyAct:
    """The act in the body of an entry of one of `KINDS`.

    Raises:
        InvalidField: a field is unknown, missing or wrong, or not as `to_wire` writes it.
    """
    act = _ACTS[kind]
    fields = require_fields(body, "", required=frozenset(field.name for field in fields_of(act)))
    parsed = act(**{name: _READERS[name](value, name) for name, value in fields.items()})
    for name, value in parsed.to_wire().items():
        if value != fields[name]:
            raise InvalidField(name, "is not in its canonical form")
    return parsed


def parse_notice(value: object, path: str) -> dict[str, int]:
    """A notice policy: every field of `DEFAULT_NOTICE`, whole numbers."""
    fields = require_fields(value, path, required=frozenset(DEFAULT_NOTICE))
    notice = {name: require_whole(amount, f"{path}.{name}") for name, amount in fields.items()}
    if notice["delivery_percent"] > 100:  # noqa: PLR2004 -- per cent
        raise InvalidField(f"{path}.delivery_percent", "must be 100 or less")
    for name, amount in notice.items():
        if amount > PROMISE_SECONDS_MAX:
            raise InvalidField(f"{path}.{name}", "must be ten years or less")
    return notice


def require_sha256(value: object, path: str) -> str:
    """64 lower-case hex digits."""
    if not isinstance(value, str) or _SHA256_HEX.fullmatch(value) is None:
        raise InvalidField(path, "must be 64 lower-case hex digits")
    return value


def _line(longest: int) -> Any:
    return lambda value, path: require_text(value, path, longest=longest)


def _number(value: object, path: str) -> int:
    return require_whole(value, path, least=1)


def _number_or_none(value: object, path: str) -> int | None:
    return None if value is None else _number(value, path)


_READERS: Mapping[str, Any] = {
    "change": _number,
    "title": _line(TITLE_LENGTH_MAX),
    "reason_sha256": require_sha256,
    "reason": _line(REASON_LENGTH_MAX),
    "replaced_by": _number_or_none,
    "effective_at": require_instant,
    "expires_at": instant_or_none,
}
