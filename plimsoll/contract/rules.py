"""The rule that every entry of the log obeys: one pure function, `check`.

The publishing command calls it with the clock, the signer, gateways and `plimsoll verify` with
the entry's own `at` (LIMITS.md section 2). An entry that breaks it is never signed, and an entry
that is not signed is never enforced. `check_next` is the same on a log that is read already, so
that each entry of a long log is judged once.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from plimsoll.contract import acts, canonical
from plimsoll.contract.acts import DEFAULT_NOTICE
from plimsoll.contract.afterlife import check_act, check_policy
from plimsoll.contract.announcement import Announcement
from plimsoll.contract.announcing import TooLittleNotice, check_announced, first_lawful, rebased
from plimsoll.contract.broken import NotUnderstood, RuleBroken, RuleCode
from plimsoll.contract.decided import DECISION_RECORDED, DecisionRecorded, check_decision
from plimsoll.contract.history import ANNOUNCED, OPENED, History, read
from plimsoll.contract.limits import InvalidField, UnknownField, require_fields, require_whole

__all__ = [
    "ANNOUNCED",
    "DEFAULT_NOTICE",
    "ENTRY_BYTES_MAX",
    "OPENED",
    "NotUnderstood",
    "RuleBroken",
    "RuleCode",
    "check",
    "check_next",
    "earliest_lawful",
]

ENTRY_BYTES_MAX = 2**20

_ENTRY_FIELDS = frozenset({"at", "body", "kind", "seq"})
_OPENED_FIELDS = frozenset({"origin", "public_key", "notice"})
_ORIGIN = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}/log")
_PUBLIC_KEY_LENGTH = 32
# A log begins with these, in this order.
_BEGINNING = (OPENED, ANNOUNCED)


def check(entries: Sequence[Mapping[str, Any]], new: Mapping[str, Any], now: int) -> None:
    """Whether `new` may follow `entries`, which were checked before, at Unix second `now`.

    Raises:
        RuleBroken: it may not. Where too little notice is all that is wrong, `earliest` says
            when it could take effect.
        NotUnderstood: it is of a newer kind or form, so this version cannot tell.
    """
    check_next(read(entries), new, now)


def check_next(history: History, new: Mapping[str, Any], now: int) -> None:
    """The same for a log that is read already; append `new` to `history` afterwards.

    Raises:
        RuleBroken: as `check`.
    """
    try:
        _check_entry(new)
        _check_place(history, new, now)
        _check_kind(history, new)
    except UnknownField as error:
        raise NotUnderstood(RuleCode.FORM, str(error)) from error
    except InvalidField as error:
        raise RuleBroken(RuleCode.FORM, str(error)) from error


def earliest_lawful(history: History, announced: Announcement, at: int) -> int | None:
    """The first effective instant from Unix second `at` on at which a change would be lawful.

    None where no instant makes it so. What it changes is computed anew at each instant.
    """

    def check_at(effective_at: int) -> None:
        moved = rebased(history, announced, effective_at=effective_at)
        check_announced(history, moved, seq=history.size, at=at)

    return first_lawful(history, at, check_at)


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


def _check_place(history: History, new: Mapping[str, Any], now: int) -> None:
    if new["seq"] != history.size:
        raise RuleBroken(RuleCode.SEQ, f"the next entry is number {history.size}")
    if new["at"] < history.last_at:
        raise RuleBroken(RuleCode.AT, "an entry is not older than the one before it")
    if new["at"] > now:
        raise RuleBroken(RuleCode.AT, "an entry is not logged ahead of its time")


def _check_kind(history: History, new: Mapping[str, Any]) -> None:
    kind, size = new["kind"], history.size
    if not isinstance(kind, str):
        raise RuleBroken(RuleCode.KIND, "a kind is a text")
    if size < len(_BEGINNING):
        if kind != _BEGINNING[size]:
            raise RuleBroken(RuleCode.KIND, "a log begins with log.opened and then change 1")
    elif kind == OPENED:
        raise RuleBroken(RuleCode.KIND, "a log is opened once")
    if history.problem is not None:
        raise NotUnderstood(RuleCode.KIND, "an entry before this one is not understood")
    if kind in acts.KINDS:
        _check_later(history, new)
    elif kind in _CHECKS:
        _CHECKS[kind](history, new)
    else:
        raise NotUnderstood(RuleCode.KIND, f"{kind} is not known here")


def _check_announced(history: History, new: Mapping[str, Any]) -> None:
    announced = Announcement.parse(new["body"])
    try:
        check_announced(history, announced, seq=new["seq"], at=new["at"])
    except TooLittleNotice as short:
        earliest = earliest_lawful(history, announced, new["at"])
        raise TooLittleNotice(short.shortage, earliest) from None


def _check_later(history: History, new: Mapping[str, Any]) -> None:
    act, place = acts.parse_act(new["kind"], new["body"]), (new["seq"], new["at"])
    try:
        check_act(history, act, place)
    except TooLittleNotice as short:
        if not isinstance(act, acts.Released | acts.Rescheduled):
            raise
        earliest = first_lawful(
            history, new["at"], lambda at: _check_at(history, act, place=place, at=at)
        )
        raise TooLittleNotice(short.shortage, earliest) from None


def _check_at(
    history: History, act: acts.Released | acts.Rescheduled, *, place: tuple[int, int], at: int
) -> None:
    """Whether the same act would be lawful for effective instant `at`."""
    is_there = isinstance(act, acts.Rescheduled) and history.changes[act.change].effective_at == at
    # To stay where it is would be no news, and is lawful.
    if not is_there:
        check_act(history, replace(act, effective_at=at), place)


def _check_policy(history: History, new: Mapping[str, Any]) -> None:
    check_policy(history, acts.PolicyChanged.parse(new["body"]), new["at"])


def _check_decided(history: History, new: Mapping[str, Any]) -> None:
    decision = DecisionRecorded.parse(new["body"])
    check_decision(decision, changes=history.changes.keys(), ids=history.ids)


def _check_opened(history: History, new: Mapping[str, Any]) -> None:  # noqa: ARG001 -- as its peers
    fields = require_fields(new["body"], "body", required=_OPENED_FIELDS)
    origin = fields["origin"]
    if not isinstance(origin, str) or _ORIGIN.fullmatch(origin) is None:
        raise InvalidField("body.origin", "must be host and port, then /log")
    _check_public_key(fields["public_key"], "body.public_key")
    acts.parse_notice(fields["notice"], "body.notice")


def _check_public_key(value: object, path: str) -> None:
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != _PUBLIC_KEY_LENGTH or base64.b64encode(raw).decode() != value:
        raise InvalidField(path, f"must be the base64 of {_PUBLIC_KEY_LENGTH} bytes")


_CHECKS: Mapping[str, Callable[[History, Mapping[str, Any]], None]] = {
    OPENED: _check_opened,
    ANNOUNCED: _check_announced,
    acts.POLICY_CHANGED: _check_policy,
    DECISION_RECORDED: _check_decided,
}
