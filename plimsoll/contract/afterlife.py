"""What may happen to a change after it was announced, and to the notice policy.

LIMITS.md section 2: only a change that is not yet effective can be held, rescheduled or withdrawn;
an emergency cut may be ended early; words may be amended at any time.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from plimsoll.contract import acts, timeline
from plimsoll.contract.announcement import ChangeClass
from plimsoll.contract.announcing import (
    appended,
    check_ahead,
    check_reason,
    check_span,
    check_timeline,
)
from plimsoll.contract.broken import RuleBroken, RuleCode
from plimsoll.contract.history import ChangeInLog, History, State
from plimsoll.contract.refusals import instant, promise

Place: TypeAlias = tuple[int, int]


class Case(NamedTuple):
    """An act on a change, to be logged as entry `seq` of Unix second `at`."""

    history: History
    change: ChangeInLog
    act: acts.AnyAct
    seq: int
    at: int

    def after(self) -> History:
        """The log with the act in it."""
        place = (self.seq, self.at)
        return appended(self.history, self.act.kind, self.act.to_wire(), place=place)


_WORDS = {
    acts.HELD: "held",
    acts.WITHDRAWN: "withdrawn",
    acts.RESCHEDULED: "rescheduled",
    acts.RELEASED: "released",
}


def check_act(history: History, act: acts.AnyAct, place: Place) -> None:
    """Whether an act on a change may be logged as entry `place` = (seq, at).

    Raises:
        RuleBroken: it may not; without `earliest`.
    """
    change = history.changes.get(act.change)
    if change is None:
        raise RuleBroken(RuleCode.CHANGE_NUMBER, f"there is no change {act.change}")
    if isinstance(act, acts.Amended):
        _check_amended(change, act)
    else:
        _CHECKS[act.kind](Case(history, change, act, *place))


def check_policy(history: History, changed: acts.PolicyChanged, at: int) -> None:
    """Whether the notice policy may change: a weaker one only with the notice of the present one.

    Raises:
        RuleBroken: it may not; `earliest` tells when it could.
    """
    check_ahead(changed.effective_at, at)
    check_reason(changed.reason_sha256)
    last = history.policies[-1]
    if changed.notice == last.notice:
        raise RuleBroken(RuleCode.NOTHING, "the notice policy stays as it is")
    if changed.effective_at < last.effective_at:
        text = f"another notice policy is announced for {instant(last.effective_at)}"
        raise RuleBroken(RuleCode.EFFECTIVE_AT, text, earliest=last.effective_at)
    if changed.effective_at > at + acts.PROMISE_SECONDS_MAX:
        # None could come before it, so that a slip of the pen would stop all others.
        text = "a notice policy is announced for the next ten years, not for later"
        raise RuleBroken(RuleCode.EFFECTIVE_AT, text)
    in_force = history.notice_at(at)
    needed = max((_own_notice(name, in_force) for name in _weaker(last.notice, changed)), default=0)
    if changed.effective_at < at + needed:
        promised = f"{promise(needed)} for that"
        earliest = at + needed
        text = f"this weakens the notice policy. {promised}; the earliest is {instant(earliest)}"
        raise RuleBroken(RuleCode.NOTICE, text, earliest=earliest)


def _weaker(last: Mapping[str, int], changed: acts.PolicyChanged) -> list[str]:
    """The fields in which a policy promises less than the one before it."""
    return [
        name
        for name, amount in changed.notice.items()
        if (amount > last[name] if name in acts.WEAKER_IF_MORE else amount < last[name])
    ]


def _own_notice(name: str, notice: Mapping[str, int]) -> int:
    retires = name == "retirement_seconds"
    return notice["retirement_seconds" if retires else "tightening_seconds"]


# ---- acts ----


def _check_amended(change: ChangeInLog, act: acts.Amended) -> None:
    check_reason(act.reason_sha256)
    if (act.title, act.reason_sha256) == (change.title, change.reason_sha256):
        raise RuleBroken(RuleCode.NOTHING, "the words stay as they are")


def _check_held(case: Case) -> None:
    _must_be(case, states=(State.ANNOUNCED,))
    _check_moved(case)


def _check_withdrawn(case: Case) -> None:
    act, change = case.act, case.change
    assert isinstance(act, acts.Withdrawn)  # noqa: S101 -- chosen by its kind
    if act.replaced_by not in {None, len(case.history.changes) + 1}:
        raise RuleBroken(RuleCode.CHANGE_NUMBER, "what replaces a change is the next one")
    in_force = change.state(case.at) is State.EFFECTIVE
    if in_force and change.announcement.change_class is ChangeClass.EMERGENCY_CUT:
        return
    _must_be(case, states=(State.ANNOUNCED, State.HELD))
    _check_moved(case)


def _check_rescheduled(case: Case) -> None:
    act, change = case.act, case.change
    assert isinstance(act, acts.Rescheduled)  # noqa: S101 -- chosen by its kind
    _must_be(case, states=(State.ANNOUNCED,))
    if (act.effective_at, act.expires_at) == (change.effective_at, change.expires_at):
        raise RuleBroken(RuleCode.NOTHING, "the change is announced for that time already")
    _check_new_time(case)


def _check_released(case: Case) -> None:
    _must_be(case, states=(State.HELD,))
    _check_new_time(case)


def _check_new_time(case: Case) -> None:
    act, change = case.act, case.change
    assert isinstance(act, acts.Released | acts.Rescheduled)  # noqa: S101 -- chosen by its kind
    check_ahead(act.effective_at, case.at)
    if change.is_lasting != (act.expires_at is None):
        text = "an end belongs to temporary and emergency changes only"
        raise RuleBroken(RuleCode.EXPIRES_AT, text)
    if not change.is_lasting:
        new = case.after()
        check_span(new, new.changes[change.number], at=case.at)
    _check_moved(case)


def _check_moved(case: Case) -> None:
    """Whether the lasting layer stays sound, and its steps keep their notice, after the act."""
    change = case.change
    if not change.is_lasting:
        return
    is_released = isinstance(case.act, acts.Released)
    judged = timeline.Act(
        case.at,
        change.number,
        was_at=() if is_released else (change.effective_at,),
        released=change if is_released else None,
    )
    check_timeline(case.history, case.after(), judged)


def _must_be(case: Case, *, states: tuple[State, ...]) -> None:
    change, state = case.change, case.change.state(case.at)
    if state in states:
        return
    is_now = {State.EFFECTIVE: "in force already", State.ENDED: "over"}.get(state, state.value)
    text = f"change {change.number} is {is_now}, so it cannot be {_WORDS[case.act.kind]}"
    raise RuleBroken(RuleCode.STATE, text)


_Check: TypeAlias = Callable[[Case], None]

_CHECKS: Mapping[str, _Check] = {
    acts.HELD: _check_held,
    acts.WITHDRAWN: _check_withdrawn,
    acts.RESCHEDULED: _check_rescheduled,
    acts.RELEASED: _check_released,
}
