"""What happened to a change and what lies ahead of it: notice, line of time, and its entries. Pure."""

from dataclasses import dataclass

from plimsoll.contract import acts
from plimsoll.contract.announcement import ChangeClass
from plimsoll.contract.direction import takes_away
from plimsoll.contract.effect import OPENING_CHANGE, Effect
from plimsoll.contract.history import ActInLog, ChangeInLog, History, State, Status
from plimsoll.contract.wording import duration
from portal.changelog.models import NOT_DELIVERED
from portal.web.filters import instant

UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True)
class Notice:
    """How long before its instant a change was published. `left` is empty once it has passed."""

    promised: str
    given: str
    run: str
    left: str


@dataclass(frozen=True)
class Step:
    """One mark on the line of time, as the component takes it. `at` in Unix seconds."""

    label: str
    at: int | None
    state: str
    text: str = ""


@dataclass(frozen=True)
class Event:
    """An entry of the log about the change, in words."""

    seq: int
    at: int
    text: str
    reason: str = ""


def notice_of(history: History, change: ChangeInLog, effect: Effect, *, at: int) -> Notice | None:
    """The notice of a change that needs one; None for all others."""
    is_lasting = change.announcement.change_class is ChangeClass.LASTING
    if not (is_lasting and takes_away(effect.direction)) or change.number == OPENING_CHANGE:
        return None
    if change.status is not Status.ANNOUNCED:
        return None
    released = [step.at for step in change.steps if step.kind == acts.RELEASED]
    start = released[-1] if released else change.announced_at
    promised = history.notice_at(start)
    name = "retirement_seconds" if effect.is_retirement else "tightening_seconds"
    seconds = promised["released_seconds"] if released else promised[name]
    ends = change.effective_at
    return Notice(
        promised=duration(seconds),
        given=span(ends - start),
        run=span(min(at, ends) - start),
        left=span(ends - at) if at < ends else "",
    )


def steps_of(change: ChangeInLog, *, at: int) -> tuple[Step, ...]:
    """Announced → today → effective, with what happened on the way."""
    state = change.state(at)
    passed = [Step("Announced", change.announced_at, "past")]
    passed += [
        Step(_LABELS[act.kind], act.at, "past") for act in change.steps if act.kind in _LABELS
    ]
    marks = []
    if change.status is Status.ANNOUNCED:
        marks.append(_mark(("Takes effect", "Took effect"), change.effective_at, at=at))
        if change.expires_at is not None:
            marks.append(_mark(("Ends", "Ended"), change.expires_at, at=at))
    passed += [mark for mark in marks if mark.state == "past"]
    ahead = [mark for mark in marks if mark.state == "ahead"]
    if state is State.HELD:
        ahead.append(Step("Takes effect", None, "ahead", "no instant while it is held"))
    # What ended long ago has no need of today.
    today = [] if state in {State.ENDED, State.WITHDRAWN} else [_today(change, at=at)]
    return (*sorted(passed, key=lambda step: step.at or 0), *today, *ahead)


def life_of(change: ChangeInLog) -> tuple[Event, ...]:
    """Its entries in the order of the log."""
    first = change.announcement
    said = f"Announced for {instant(first.effective_at)}{_until(first.expires_at)}"
    told = (_event(change, step) for step in change.steps)
    return (Event(change.seq, change.announced_at, said), *told)


def span(seconds: int) -> str:
    """How long, down to the next smaller unit: "28 days 22 hours", "5 hours", "less than a minute"."""
    parts, left = [], max(0, seconds)
    for size, unit in UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count:,} {unit}{'' if count == 1 else 's'}")
        elif parts:
            break
    return " ".join(parts[:2]) or "less than a minute"


def reason_in_words(reason: str) -> str:
    """The reason of a hold or withdrawal; the job's own is a code."""
    if reason == NOT_DELIVERED:
        return (
            "Too few of the owners concerned could be mailed in time; it is released once they are."
        )
    return reason


_LABELS = {
    acts.HELD: "Held",
    acts.RELEASED: "Released",
    acts.RESCHEDULED: "Moved",
    acts.WITHDRAWN: "Withdrawn",
}


def _mark(labels: tuple[str, str], mark: int, *, at: int) -> Step:
    coming, past = labels
    return Step(coming, mark, "ahead") if at < mark else Step(past, mark, "past")


def _today(change: ChangeInLog, *, at: int) -> Step:
    left = ""
    if change.state(at) is State.ANNOUNCED:
        run = span(at - change.announced_at)
        left = f"{run} since it was announced, {span(change.effective_at - at)} left"
    day = instant(at).partition(" ")[0]
    return Step(f"Today, {day}", None, "now", left)


def _until(expires_at: int | None) -> str:
    return "" if expires_at is None else f", until {instant(expires_at)}"


def _event(change: ChangeInLog, step: ActInLog) -> Event:
    body = step.body
    if isinstance(body, acts.Held):
        return Event(step.seq, step.at, "Held", reason_in_words(body.reason))
    if isinstance(body, acts.Withdrawn):
        by = "" if body.replaced_by is None else f", replaced by change {body.replaced_by}"
        # An emergency cut that was in force keeps its effect until then.
        is_early_end = change.status is not Status.WITHDRAWN
        return Event(
            step.seq, step.at, ("Ended early" if is_early_end else "Withdrawn") + by, body.reason
        )
    if isinstance(body, acts.Amended):
        version = next(each.version for each in change.wordings if each.seq == step.seq)
        return Event(step.seq, step.at, f"Put into other words (version {version})")
    verb = "Released, to take effect at" if isinstance(body, acts.Released) else "Moved to"
    said = f"{verb} {instant(body.effective_at)}{_until(body.expires_at)}"
    return Event(step.seq, step.at, said)
