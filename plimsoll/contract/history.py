"""The log, read entry by entry into what it says of each change (LIMITS.md section 2).

`read` takes entries as they are and judges nothing: `rules.check_next` does, before an entry is
appended. Whoever asks often keeps a `History` and appends to it, so that a long log is read once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from plimsoll.contract import acts
from plimsoll.contract.announcement import Announcement, ChangeClass
from plimsoll.contract.decided import DECISION_RECORDED
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import InvalidField
from plimsoll.contract.parts import Part, parts_of, value_of
from plimsoll.contract.subjects import introduced_by, named_by, subjects_of

OPENED = "log.opened"
ANNOUNCED = "change.announced"
NOT_UNDERSTOOD = "entry_not_understood"


class Status(StrEnum):
    """What the log says of a change, whatever the time."""

    ANNOUNCED = "announced"
    HELD = "held"
    WITHDRAWN = "withdrawn"


class State(StrEnum):
    """What a reader is told of a change; *effective* and *ended* follow from time."""

    ANNOUNCED = "announced"
    HELD = "held"
    WITHDRAWN = "withdrawn"
    EFFECTIVE = "effective"
    ENDED = "ended"


class Wording(NamedTuple):
    """One version of a change's words: 1 as announced, then one for each amendment."""

    version: int
    seq: int
    at: int
    title: str
    reason_sha256: str


class ActInLog(NamedTuple):
    """A later entry about a change; `at` in Unix seconds."""

    kind: str
    seq: int
    at: int
    body: acts.AnyAct


class PolicyInLog(NamedTuple):
    """A notice policy and the instant from which it is in force."""

    notice: Mapping[str, int]
    effective_at: int
    seq: int
    at: int
    reason_sha256: str | None


@dataclass(frozen=True)
class ChangeInLog:
    """A change with all that the log says of it. Instants are Unix seconds.

    `announcement` is as first published; title, reason and instants beside it are the current
    ones. `expires_at` of an emergency cut that was ended early is that instant. `held_by` is the
    number of the change whose hold or withdrawal took this one along, `notice_left` the seconds
    that were left when it was held, `held_steps` each of its parts before and after the step that
    the log foretold until then.
    """

    announcement: Announcement
    seq: int
    announced_at: int
    effective_at: int
    expires_at: int | None
    wordings: tuple[Wording, ...]
    steps: tuple[ActInLog, ...] = ()
    status: Status = Status.ANNOUNCED
    held_at: int | None = None
    held_by: int | None = None
    hold_reason: str | None = None
    notice_left: int | None = None
    held_steps: Mapping[Part, tuple[Any, Any]] = field(default_factory=dict)
    withdrawn_at: int | None = None
    withdraw_reason: str | None = None
    replaced_by: int | None = None

    @property
    def number(self) -> int:
        """The change's number."""
        return self.announcement.change

    @property
    def title(self) -> str:
        """The title in its newest wording."""
        return self.wordings[-1].title

    @property
    def reason_sha256(self) -> str:
        """The hash of the reason in its newest wording."""
        return self.wordings[-1].reason_sha256

    @property
    def seqs(self) -> tuple[int, ...]:
        """All entries about this change."""
        return (self.seq, *(step.seq for step in self.steps))

    @property
    def is_lasting(self) -> bool:
        """Whether it belongs to the lasting layer."""
        return self.announcement.change_class is ChangeClass.LASTING

    @property
    def order(self) -> tuple[int, int]:
        """Its place in the fold."""
        return self.effective_at, self.number

    def state(self, at: int) -> State:
        """What a reader is told at Unix second `at`."""
        if self.status is not Status.ANNOUNCED:
            return State(self.status.value)
        if at < self.effective_at:
            return State.ANNOUNCED
        ended = self.expires_at is not None and self.expires_at <= at
        return State.ENDED if ended else State.EFFECTIVE

    def is_in_force(self, at: int) -> bool:
        """Whether it has effect at Unix second `at`."""
        return self.state(at) is State.EFFECTIVE


class History:
    """All changes and notice policies of a log. `append` adds the next entry.

    `problem` is `entry_not_understood` once an entry of a newer kind or form was met: what stands
    before it is kept, and nothing after it is read (LIMITS.md section 3).
    """

    def __init__(self) -> None:
        self.changes: dict[int, ChangeInLog] = {}
        self.policies: list[PolicyInLog] = []
        self.problem: str | None = None
        self.ids: set[str] = set()
        self.size = self.last_at = 0
        # What is in force since before `_base_at` can change no more, and is folded once.
        self._base, self._base_at = Lasting(), 0
        self._open: dict[int, ChangeInLog] = {}
        self._replacing: tuple[int, int, History] | None = None

    def copy(self) -> "History":
        """The same, to be appended to on its own."""
        twin = History()
        twin.__dict__.update(self.__dict__)
        twin.changes, twin.policies = dict(self.changes), list(self.policies)
        twin.ids, twin._base, twin._open = set(self.ids), self._base.copy(), dict(self._open)
        return twin

    def append(self, entry: Mapping[str, Any]) -> None:
        """Read the next entry, as `{"at", "body", "kind", "seq"}`."""
        self.size += 1
        if self.problem is not None:
            return
        try:
            self._read(entry["kind"], entry["body"], (entry["seq"], entry["at"]))
        except (InvalidField, KeyError):
            self.problem = NOT_UNDERSTOOD
        self.last_at = entry["at"]

    # ---- asking ----

    def notice_at(self, at: int) -> Mapping[str, int]:
        """The notice policy in force at Unix second `at`."""
        in_force = [policy for policy in self.policies if policy.effective_at <= at]
        return in_force[-1].notice if in_force else acts.DEFAULT_NOTICE

    def lasting(self, at: int) -> Lasting:
        """The lasting layer at Unix second `at`; the caller may change it."""
        return self._lasting(at + 1)

    def lasting_before(self, at: int) -> Lasting:
        """The lasting layer just before Unix second `at`; the caller may change it."""
        return self._lasting(at)

    def ahead(self, at: int) -> list[ChangeInLog]:
        """Announced lasting changes with an effective instant of `at` or later, in fold order."""
        source = self._open if at >= self._base_at else self.changes
        return sorted(
            (each for each in source.values() if _counts(each) and each.effective_at >= at),
            key=lambda change: change.order,
        )

    def overlays(self, change_class: ChangeClass) -> list[ChangeInLog]:
        """Temporary raises or emergency cuts that are neither held nor withdrawn, in order."""
        return sorted(
            (
                change
                for change in self.changes.values()
                if change.announcement.change_class is change_class
                and change.status is Status.ANNOUNCED
            ),
            key=lambda change: change.order,
        )

    def instants(self) -> list[int]:
        """The instants (Unix seconds, sorted) at which limits may differ from those just before."""
        changes = [each for each in self.changes.values() if each.status is Status.ANNOUNCED]
        ends = {change.expires_at for change in changes if change.expires_at is not None}
        return sorted({change.effective_at for change in changes} | ends)

    def before_replacing(self, number: int, at: int) -> "History":
        """The log before the withdrawals that the announcement of `number` at `at` belongs to."""
        if self._replacing is not None and self._replacing[:2] == (number, at):
            return self._replacing[2]
        return self

    # ---- reading ----

    def _read(self, kind: object, body: Any, place: tuple[int, int]) -> None:
        replacing, self._replacing = self._replacing, None
        if kind == OPENED:
            seq, at = place
            notice = acts.parse_notice(body["notice"], "notice")
            self.policies.append(PolicyInLog(notice, at, seq, at, None))
        elif kind == acts.POLICY_CHANGED:
            changed = acts.PolicyChanged.parse(body)
            self.policies.append(
                PolicyInLog(changed.notice, changed.effective_at, *place, changed.reason_sha256)
            )
        elif kind == ANNOUNCED:
            self._announce(Announcement.parse(body), place)
        elif isinstance(kind, str) and kind in acts.KINDS:
            self._act(acts.parse_act(kind, body), place, replacing)
        elif kind == DECISION_RECORDED:
            self.ids.add(str(body.get("id")))  # no limit follows; no entry may be it again
        elif not isinstance(kind, str) or kind.startswith(("change.", "policy.")):
            raise InvalidField("kind", "is not known")

    def _announce(self, announced: Announcement, place: tuple[int, int]) -> None:
        seq, at = place
        if announced.change in self.changes:
            raise InvalidField("change", "is announced already")
        self.ids.add(announced.id)
        self._settle(at)
        change = ChangeInLog(
            announcement=announced,
            seq=seq,
            announced_at=at,
            effective_at=announced.effective_at,
            expires_at=announced.expires_at,
            wordings=(Wording(1, seq, at, announced.title, announced.reason_sha256),),
        )
        self.changes[change.number] = change
        if change.is_lasting:
            self._open[change.number] = change

    def _act(
        self, act: acts.AnyAct, place: tuple[int, int], replacing: "tuple[int, int, History] | None"
    ) -> None:
        seq, at = place
        change = self.changes[act.change]
        self._settle(at)
        if isinstance(act, acts.Withdrawn) and act.replaced_by is not None:
            is_next = replacing is not None and replacing[:2] == (act.replaced_by, at)
            self._replacing = replacing if is_next else (act.replaced_by, at, self.copy())
        before = replace(change, steps=(*change.steps, ActInLog(act.kind, seq, at, act)))
        after = _after(before, act, place)
        takes_along = change.status is Status.ANNOUNCED and after.status is not Status.ANNOUNCED
        followers = self.followers(change, at) if takes_along else []
        reason = act.reason if isinstance(act, acts.Held | acts.Withdrawn) else ""
        held = [_held(each, reason, at, by=change.number) for each in followers]
        held += [after] if after.status is Status.HELD else []
        # What the log foretold is asked of all of them before any is taken out of it.
        held = [replace(each, held_steps=self._step_of(each)) for each in held]
        self._put(after)
        for each in held:
            self._put(each)

    def followers(self, change: ChangeInLog, at: int) -> list[ChangeInLog]:
        """The later announced lasting changes that stand on a lasting change.

        They are held when it is held or withdrawn at `at`: those of the same cells, and in turn
        those of theirs.
        """
        if not change.is_lasting:
            return []
        known = self.lasting(at)
        taken, found = subjects_of(change.announcement), []
        taken |= introduced_by(change.announcement, known)
        for later in self.ahead(at + 1):
            if later.order <= change.order:
                continue
            subjects = subjects_of(later.announcement)
            if taken & (subjects | named_by(later.announcement)):
                found.append(later)
                taken |= subjects | introduced_by(later.announcement, known)
        return found

    def _step_of(self, change: ChangeInLog) -> dict[Part, tuple[Any, Any]]:
        """What happens to the parts of a lasting change at its instant, as the log stands."""
        if not change.is_lasting:
            return {}
        before, after = (self._lasting(change.effective_at + late) for late in (0, 1))
        parts = parts_of(change.announcement)
        return {part: (value_of(before, part), value_of(after, part)) for part in parts}

    def _put(self, change: ChangeInLog) -> None:
        self.changes[change.number] = change
        # One that is settled stays so: put back, it would lie over all that came after it.
        if change.number in self._open:
            self._open[change.number] = change

    def _settle(self, at: int) -> None:
        """Fold what was in force before `at` for good: no entry of `at` or later can touch it."""
        if at <= self._base_at:
            return
        settled = [each for each in self._open.values() if _counts(each) and each.effective_at < at]
        for change in sorted(settled, key=lambda change: change.order):
            self._base.apply(change.announcement, change.effective_at)
            del self._open[change.number]
        self._base_at = at

    def _lasting(self, until: int) -> Lasting:
        """All lasting changes with an effective instant before `until`."""
        from_base = until >= self._base_at
        layer = self._base.copy() if from_base else Lasting()
        source = self._open if from_base else self.changes
        effective = [
            each for each in source.values() if _counts(each) and each.effective_at < until
        ]
        for change in sorted(effective, key=lambda change: change.order):
            layer.apply(change.announcement, change.effective_at)
        return layer


def read(entries: Iterable[Mapping[str, Any]], known_at: int | None = None) -> History:
    """The history in entries in the order of `seq`; with `known_at`, of those logged by then."""
    history = History()
    for entry in entries:
        if known_at is not None and entry["at"] > known_at:
            break
        history.append(entry)
    return history


def _counts(change: ChangeInLog) -> bool:
    return change.is_lasting and change.status is Status.ANNOUNCED


def _after(change: ChangeInLog, act: acts.AnyAct, place: tuple[int, int]) -> ChangeInLog:
    seq, at = place
    if isinstance(act, acts.Amended):
        version = len(change.wordings) + 1
        wording = Wording(version, seq, at, act.title, act.reason_sha256)
        return replace(change, wordings=(*change.wordings, wording))
    if isinstance(act, acts.Held):
        return _held(change, act.reason, at, by=None)
    if isinstance(act, acts.Withdrawn):
        return _withdrawn(change, act, at)
    return replace(
        change,
        status=Status.ANNOUNCED,
        effective_at=act.effective_at,
        expires_at=act.expires_at,
        held_at=None,
        held_by=None,
        hold_reason=None,
        notice_left=None,
        held_steps={},
    )


def _held(change: ChangeInLog, reason: str, at: int, *, by: int | None) -> ChangeInLog:
    return replace(
        change,
        status=Status.HELD,
        held_at=at,
        held_by=by,
        hold_reason=reason,
        notice_left=max(0, change.effective_at - at),
    )


def _withdrawn(change: ChangeInLog, act: acts.Withdrawn, at: int) -> ChangeInLog:
    gone = replace(change, withdrawn_at=at, withdraw_reason=act.reason, replaced_by=act.replaced_by)
    if change.is_in_force(at):
        # It had effect until now, and keeps it in every answer about then.
        return replace(gone, expires_at=at)
    return replace(gone, status=Status.WITHDRAWN)
