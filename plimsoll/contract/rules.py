"""The rule that every entry of the log obeys: one pure function, `check`.

The publishing command calls it with the clock, the signer, gateways and `plimsoll verify` with
the entry's own `at` (LIMITS.md section 2). An entry that breaks it is never signed, and an entry
that is not signed is never enforced.

This version knows how a log begins: `log.opened`, then change 1. It refuses every other entry, so
that nothing can change limits before the notice on the timeline is checked.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from plimsoll.contract import canonical
from plimsoll.contract.announcement import Announcement, ChangeClass
from plimsoll.contract.limits import InvalidField, require_fields, require_whole
from plimsoll.contract.terms import check_distinct, check_known

OPENED = "log.opened"
ANNOUNCED = "change.announced"

ENTRY_BYTES_MAX = 2**20

_HOUR = 3600
_DAY = 24 * _HOUR

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

_ENTRY_FIELDS = frozenset({"at", "body", "kind", "seq"})
_OPENED_FIELDS = frozenset({"origin", "public_key", "notice"})
_NOTICE_FIELDS = frozenset(DEFAULT_NOTICE)
_ORIGIN = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}/log")
_PUBLIC_KEY_LENGTH = 32


class RuleCode(StrEnum):
    """Which part of the rule an entry breaks."""

    FORM = "form"
    SEQ = "seq"
    AT = "at"
    KIND = "kind"
    CHANGE_NUMBER = "change_number"
    FROM = "from"
    EFFECTIVE_AT = "effective_at"


class RuleBroken(ValueError):
    """An entry that may not stand in the log; `text` names the field or the lawful instant."""

    def __init__(self, code: RuleCode, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


def check(entries: Sequence[Mapping[str, Any]], new: Mapping[str, Any], now: int) -> None:
    """Whether `new` may follow `entries`, which were checked before, at Unix second `now`.

    Raises:
        RuleBroken: it may not.
    """
    try:
        _check_entry(new)
        _check_place(entries, new, now)
        _check_kind(entries, new)
    except InvalidField as error:
        raise RuleBroken(RuleCode.FORM, str(error)) from error


def _check_entry(new: Mapping[str, Any]) -> None:
    fields = require_fields(new, "", required=_ENTRY_FIELDS)
    require_whole(fields["at"], "at")
    require_whole(fields["seq"], "seq")
    try:
        size = len(canonical.encode(fields))
    except canonical.NotCanonical as error:
        raise RuleBroken(RuleCode.FORM, str(error)) from error
    if size > ENTRY_BYTES_MAX:
        raise RuleBroken(RuleCode.FORM, f"an entry has at most {ENTRY_BYTES_MAX} bytes")


def _check_place(entries: Sequence[Mapping[str, Any]], new: Mapping[str, Any], now: int) -> None:
    if new["seq"] != len(entries):
        raise RuleBroken(RuleCode.SEQ, f"the next entry is number {len(entries)}")
    if entries and new["at"] < entries[-1]["at"]:
        raise RuleBroken(RuleCode.AT, "an entry is not older than the one before it")
    if new["at"] > now:
        raise RuleBroken(RuleCode.AT, "an entry is not logged ahead of its time")


def _check_kind(entries: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> None:
    judge = _BEGINNING[len(entries)] if len(entries) < len(_BEGINNING) else None
    if judge is None or new["kind"] != judge[0]:
        raise RuleBroken(RuleCode.KIND, "this version knows only log.opened and then change 1")
    judge[1](new)


def _check_opened(new: Mapping[str, Any]) -> None:
    fields = require_fields(new["body"], "body", required=_OPENED_FIELDS)
    origin = fields["origin"]
    if not isinstance(origin, str) or _ORIGIN.fullmatch(origin) is None:
        raise InvalidField("body.origin", "must be host and port, then /log")
    _check_public_key(fields["public_key"], "body.public_key")
    _check_notice(fields["notice"], "body.notice")


def _check_notice(value: object, path: str) -> None:
    for name, amount in require_fields(value, path, required=_NOTICE_FIELDS).items():
        require_whole(amount, f"{path}.{name}")


def _check_public_key(value: object, path: str) -> None:
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != _PUBLIC_KEY_LENGTH or base64.b64encode(raw).decode() != value:
        raise InvalidField(path, f"must be the base64 of {_PUBLIC_KEY_LENGTH} bytes")


def _check_first_change(new: Mapping[str, Any]) -> None:
    """Change 1 neither tightens nor loosens, so it needs no notice: only a sound beginning."""
    change = Announcement.parse(new["body"])
    if change.change != 1:
        raise RuleBroken(RuleCode.CHANGE_NUMBER, "the first change is number 1")
    if change.change_class is not ChangeClass.LASTING:
        raise InvalidField("class", "the first change is lasting")
    if change.effective_at < new["at"]:
        raise RuleBroken(RuleCode.EFFECTIVE_AT, "a change is not effective before it is announced")
    if any(row.before is not None for row in change.rows):
        raise RuleBroken(RuleCode.FROM, "before change 1 there is no limit")
    if not all(offer.offered for offer in change.offers):
        raise InvalidField("offers", "nothing is offered yet to withdraw")
    check_distinct([tier.rank for tier in change.tiers], "tiers", ".rank")
    check_known(
        {tier.slug for tier in change.tiers},
        {model.slug for model in change.models},
        offers=change.offers,
        cells=[row.cell for row in change.rows],
        counting=change.counting,
    )


_Judge = tuple[str, Callable[[Mapping[str, Any]], None]]

_BEGINNING: tuple[_Judge, ...] = ((OPENED, _check_opened), (ANNOUNCED, _check_first_change))
