"""When a change may be announced (LIMITS.md section 2): the three classes, and the notice."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from plimsoll.contract import timeline
from plimsoll.contract.announcement import Announcement, ChangeClass, Row, hash_reason
from plimsoll.contract.broken import RuleBroken, RuleCode
from plimsoll.contract.effect import as_change, layer_before
from plimsoll.contract.fold import lower_by, raise_by
from plimsoll.contract.history import ANNOUNCED, ChangeInLog, History, Status
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import Cell, InvalidField
from plimsoll.contract.parts import Part
from plimsoll.contract.refusals import instant, shortage_text
from plimsoll.contract.terms import check_distinct, check_known
from plimsoll.contract.wording import duration

EMPTY_REASON = hash_reason("")


def check_announced(history: History, announced: Announcement, *, seq: int, at: int) -> None:
    """Whether a change may be announced as entry `seq` of Unix second `at`.

    Raises:
        RuleBroken: it may not; without `earliest`.
    """
    change = as_change(announced, seq=seq, at=at)
    _check_place(history, change)
    before = layer_before(history, change)
    _check_from(announced, before)
    _check_known(announced, before)
    if not change.is_lasting:
        check_span(history, change, at=at)
        _check_overlay(history, change, before)
        return
    _check_news(announced, before)
    new = appended(history, ANNOUNCED, announced.to_wire(), place=(seq, at))
    old = history.before_replacing(change.number, at)
    check_timeline(old, new, timeline.Act(at, change.number, _replaced(old, new, change.number)))


def appended(
    history: History, kind: str, body: Mapping[str, Any], *, place: tuple[int, int]
) -> History:
    """A copy of the history with one more entry, `place` being its (seq, at)."""
    new = history.copy()
    new.append({"kind": kind, "body": body, "seq": place[0], "at": place[1]})
    return new


def check_timeline(old: History, new: History, act: timeline.Act) -> None:
    """Whether the lasting layer stays sound and every step keeps its notice after an act."""
    for step in timeline.steps(new, act.at):
        _check_step(step)
    shortage = timeline.find_shortage(old, new, act)
    if shortage is not None:
        raise TooLittleNotice(shortage)


class TooLittleNotice(RuleBroken):
    """A step comes sooner than was promised."""

    def __init__(self, shortage: timeline.Shortage, earliest: int | None = None) -> None:
        text = shortage_text(shortage, earliest)
        super().__init__(RuleCode.NOTICE, text, earliest=earliest)
        self.shortage = shortage


def first_lawful(history: History, at: int, check: Callable[[int], None]) -> int | None:
    """The first effective instant from Unix second `at` on that `check` lets pass; None if none.

    What is lawful changes only where a notice ends or where another change takes effect.
    """
    notice = history.notice_at(at)
    ends = {at + notice[name] for name in notice if name.endswith("_seconds")}
    left = {at + each.notice_left for each in history.changes.values() if each.notice_left}
    # Also of what is withdrawn: a change that replaces it may come when it would have come.
    known = {each.effective_at for each in history.changes.values() if each.effective_at > at}
    for candidate in sorted({at, *ends, *left, *known}):
        try:
            check(candidate)
        except RuleBroken:
            continue
        return candidate
    return None


def rebased(history: History, announced: Announcement, *, effective_at: int) -> Announcement:
    """The same change at another instant: `from` and what is left to change are computed anew."""
    moved = replace(announced, effective_at=effective_at)
    if announced.expires_at is not None:
        length = announced.expires_at - announced.effective_at
        moved = replace(moved, expires_at=effective_at + length)
    before = layer_before(history, as_change(moved, seq=history.size, at=history.last_at))
    rows = (Row(row.cell, before.limit(row.cell), row.after) for row in announced.rows)
    return replace(moved, rows=tuple(row for row in rows if row.before != row.after))


# ---- a change by itself ----


def _check_place(history: History, change: ChangeInLog) -> None:
    announced, number = change.announcement, len(history.changes) + 1
    if announced.change != number:
        raise RuleBroken(RuleCode.CHANGE_NUMBER, f"the next change is number {number}")
    if announced.id in history.ids:
        raise RuleBroken(RuleCode.CHANGE_NUMBER, f"{announced.id} is another change")
    if number == 1 and not change.is_lasting:
        raise RuleBroken(RuleCode.FORM, "class: the first change is lasting")
    check_reason(announced.reason_sha256)
    check_ahead(announced.effective_at, change.announced_at)


def check_reason(reason_sha256: str) -> None:
    """A change without a reason is not published."""
    if reason_sha256 == EMPTY_REASON:
        raise RuleBroken(RuleCode.REASON, "a change says why: its reason is empty")


def check_ahead(effective_at: int, at: int) -> None:
    """Nothing takes effect before it is logged."""
    if effective_at < at:
        text = f"a change is not effective before it is announced: {instant(effective_at)} is past"
        raise RuleBroken(RuleCode.EFFECTIVE_AT, text)


def _check_from(announced: Announcement, before: Lasting) -> None:
    for row in announced.rows:
        if before.limit(row.cell) != row.before:
            raise RuleBroken(RuleCode.FROM, f"{row.cell.name} does not start from what stands then")


def _check_known(announced: Announcement, before: Lasting) -> None:
    check_distinct([tier.rank for tier in announced.tiers], "tiers", ".rank")
    check_known(
        before.tiers.keys() | {tier.slug for tier in announced.tiers},
        before.models.keys() | {model.slug for model in announced.models},
        offers=announced.offers,
        cells=[row.cell for row in announced.rows],
        counting=announced.counting,
    )


def _check_news(announced: Announcement, before: Lasting) -> None:
    """Only what is new or different is published, and something is."""
    counting = announced.counting
    said = [
        *(before.models.get(model.slug) != model for model in announced.models),
        *(before.tiers.get(tier.slug) != tier for tier in announced.tiers),
        *(
            ((offer.tier, offer.model) in before.offers) != offer.offered
            for offer in announced.offers
        ),
        *(
            before.reserve.get(tier, {}).get(metric) != amount
            for tier, amounts in counting["reserve"].items()
            for metric, amount in amounts.items()
        ),
        *(before.texts.get(metric) != text for metric, text in counting["texts"].items()),
        *(row.before != row.after for row in announced.rows),
    ]
    if not said or not all(said):
        raise RuleBroken(RuleCode.NOTHING, "a change says only what it changes, and changes it")


# ---- raises and cuts for a time ----


def check_span(history: History, change: ChangeInLog, *, at: int) -> None:
    """Whether a temporary raise or an emergency cut may last from its start to its end."""
    start, end = change.effective_at, change.expires_at
    if end is None or end <= start:
        raise RuleBroken(RuleCode.EXPIRES_AT, "it ends after it begins: give it an end")
    if change.announcement.change_class is not ChangeClass.EMERGENCY_CUT:
        return
    notice = history.notice_at(at)
    longest = notice["emergency_seconds"]
    if end - start > longest:
        text = f"an emergency cut ends by itself within {duration(longest)}"
        raise RuleBroken(RuleCode.EMERGENCY, f"{text}: by {instant(start + longest)}")
    for row in change.announcement.rows:
        _check_pause(history, change, row, notice=notice)


def _check_pause(
    history: History, change: ChangeInLog, row: Row, *, notice: Mapping[str, int]
) -> None:
    """One extension, and then none on the same cell for a time.

    A cut that begins within that time after another counts as its extension, or a second's gap
    would make every cut a new one; where no limit was, so does a cut of the same metric, or
    another period would.
    """
    cuts = [
        each
        for each in history.overlays(ChangeClass.EMERGENCY_CUT)
        if each.number != change.number
        and any(_is_again(row, other.cell) for other in each.announcement.rows)
    ]
    pause, in_row, free_at = notice["emergency_pause_seconds"], 0, 0
    for each in sorted([*cuts, change], key=lambda cut: cut.order):
        in_row = in_row + 1 if each.effective_at < free_at else 1
        if in_row > 1 + notice["emergency_extensions"]:
            text = f"{row.cell.name} had an extended emergency cut; the next may begin {instant(free_at)}"
            raise RuleBroken(RuleCode.EMERGENCY, text)
        free_at = max(free_at, (each.expires_at or 0) + pause)


def _is_again(row: Row, cell: Cell) -> bool:
    if row.before is None:
        return Part.of_cell(row.cell) == Part.of_cell(cell)
    return row.cell == cell


def _check_overlay(history: History, change: ChangeInLog, before: Lasting) -> None:
    announced = change.announcement
    counted = any(announced.counting.values())
    if announced.models or announced.tiers or announced.offers or counted:
        raise RuleBroken(RuleCode.FORM, "a temporary change holds limits only")
    if not announced.rows:
        raise RuleBroken(RuleCode.NOTHING, "it changes nothing")
    raises = announced.change_class is ChangeClass.TEMPORARY_RAISE
    for row in announced.rows:
        held = before.limit(row.cell)
        # More than what stands in quota and burst alike, or less.
        if held is None:
            others = {*before.limits, *_cut_later(history, change.effective_at)} - {row.cell}
            names = {cell.name for cell in others}
            _check_once([*names, row.cell.name], "a limit's name has one kind")
        wanted = raise_by(held, row.after) if raises else lower_by(held, row.after)
        if wanted != row.after or wanted == held:
            what = "a temporary raise only raises" if raises else "an emergency cut only lowers"
            raise RuleBroken(RuleCode.RAISE, f"{what}: {row.cell.name} does not")


def _cut_later(history: History, at: int) -> set[Cell]:
    """The cells of the emergency cuts that end after Unix second `at`."""
    cuts = history.overlays(ChangeClass.EMERGENCY_CUT)
    return {row.cell for cut in cuts if (cut.expires_at or 0) > at for row in cut.announcement.rows}


# ---- the table as a whole ----


def _check_step(step: timeline.Step) -> None:
    layer = step.after
    for change in step.changes:
        try:
            _check_known(change.announcement, layer)
        except InvalidField as error:
            raise RuleBroken(
                RuleCode.TABLE, f"change {change.number} stands on this: {error}"
            ) from error
        for offer in change.announcement.offers:
            if offer.replacement is not None and offer.replacement not in layer.offers:
                names = " · ".join(offer.replacement)
                text = f"what replaces a withdrawn offer stays offered, and {names} is not"
                raise RuleBroken(RuleCode.TABLE, text)
    _check_once((cell.name for cell in layer.limits), "a limit's name has one kind")
    _check_once((tier.rank for tier in layer.tiers.values()), "each tier has a rank of its own")
    offering = {tier for tier, _ in layer.offers}
    if not any(layer.tiers[tier].entry == "automatic" for tier in offering):
        text = "a tier with automatic entry must offer a model"
        raise RuleBroken(RuleCode.TABLE, f"{text}: there organisations start")


def _check_once(values: Iterable[str | int], text: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise RuleBroken(RuleCode.TABLE, f"{text}: {value} would stand twice")
        seen.add(value)


def _replaced(old: History, new: History, number: int) -> tuple[int, ...]:
    """The instants of the announced changes that this one replaces."""
    gone = [each for each in new.changes.values() if each.replaced_by == number]
    before = [old.changes[each.number] for each in gone]
    return tuple(each.effective_at for each in before if each.status is Status.ANNOUNCED)
