"""Changes that are being written. A draft holds the content of a change file, finished or not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import rules
from plimsoll.contract.announcement import Announcement, ChangeClass
from plimsoll.contract.direction import Direction
from plimsoll.contract.draft import (
    Draft,
    compose,
    parse_draft,
    withdrawals,
    without_replaced,
)
from plimsoll.contract.effect import Item, as_change, effect_at_place
from plimsoll.contract.fold import with_raises
from plimsoll.contract.history import ANNOUNCED, History, read
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import Cell, InvalidField
from plimsoll.contract.parts import Part, PartKind, value_of
from portal.changelog.change_page import ChangePage, page_of
from portal.changelog.commands import bad_change, draft_of, publish_change
from portal.changelog.diff import Diff, Line, diff_of, lines_of
from portal.changelog.errors import DraftEnded, StaleDraft
from portal.changelog.models import Change, ChangeDraft
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import NotFound
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.transparency.queries import Timeline, signed_log

Content = Mapping[str, Any]

EMPTY: Content = {
    "title": "",
    "reason": "",
    "class": ChangeClass.LASTING.value,
    "effective_at": None,
    "expires_at": None,
    "replaces": [],
    "models": [],
    "tiers": [],
    "offers": [],
    "counting": {"reserve": {}, "texts": {}},
    "rows": [],
}
# Stands for words that are still missing, so that limits can be judged before they are written.
_UNWRITTEN = "…"
# No log has a change of this id: what is looked at is not published.
_NO_ID = "chg_" + "0" * 26


@dataclass(frozen=True)
class Outlook:
    """What a draft would do if it were published at `at`. Instants are Unix seconds.

    `refusal` is the rule's text, None where the draft is lawful; `earliest` the first lawful
    effective instant where the notice is all that is wrong, or where none was given. `is_untouched`
    where no value was given yet, so that there is nothing to judge.
    """

    at: int
    effective_at: int | None = None
    diff: Diff | None = None
    announcement: Announcement | None = None
    earliest: int | None = None
    refusal: str | None = None
    missing: tuple[str, ...] = ()
    is_untouched: bool = False

    @property
    def is_at_once(self) -> bool:
        return self.effective_at == self.at

    @property
    def needs_no_notice(self) -> bool:
        return self.earliest == self.at

    @property
    def change_class(self) -> str:
        """The class for people: "temporary raise"."""
        return self.announcement.change_class.value.replace("_", " ") if self.announcement else ""

    @property
    def is_lawful(self) -> bool:
        return self.refusal is None and not self.missing and self.diff is not None


# ---- commands ----


def start_draft(session: Session, *, actor: Actor, content: Content = EMPTY) -> ChangeDraft:
    """Begin a draft on the limits as they are now."""
    draft = ChangeDraft(
        id=new_id("drf"),
        content={**EMPTY, **content},
        base_size=signed_log(session).size,
        created_by=actor.user_id,
        updated_at=clock.now(),
    )
    session.add(draft)
    record(session, actor, "draft:started", subject_id=draft.id)
    return draft


def save_draft(
    session: Session, *, actor: Actor, draft: ChangeDraft, content: Content, base_size: int
) -> None:
    """Keep what was typed; `base_size` is the size of the log that its author looked at."""
    must_be_open(draft)
    draft.content, draft.updated_at = {**EMPTY, **content}, clock.now()
    # Never beyond what there is: a draft that claims to know the future would never be stale.
    draft.base_size = min(base_size, signed_log(session).size)
    record(session, actor, "draft:saved", subject_id=draft.id)


def discard_draft(session: Session, *, actor: Actor, draft: ChangeDraft) -> None:
    """Give a draft up. Raises DraftEnded."""
    must_be_open(draft)
    draft.discarded_at = clock.now()
    record(session, actor, "draft:discarded", subject_id=draft.id)


def publish_draft(session: Session, *, actor: Actor, draft: ChangeDraft) -> Change:
    """Publish what a draft says, inside a `log_transaction`.

    Raises DraftEnded, StaleDraft with what moved, and what `publish_change` raises.
    """
    must_be_open(draft)
    if moved := list_moves(session, draft):
        said = "; ".join(line.sentence for line in moved)
        raise StaleDraft(f"Since you saved this draft, it moved: {said}. Look again and save it.")
    change = publish_change(session, actor=actor, draft=draft_of(draft.content))
    session.flush()  # the draft points at the change
    draft.published_as = change.number
    return change


def must_be_open(draft: ChangeDraft) -> None:
    """Raises DraftEnded for one that was published or discarded."""
    if draft.published_as is not None or draft.discarded_at is not None:
        raise DraftEnded


# ---- queries ----


def get_draft(session: Session, draft_id: str, *, for_update: bool = False) -> ChangeDraft:
    """Raises NotFound."""
    query = select(ChangeDraft).where(ChangeDraft.id == draft_id)
    draft = session.scalar(query.with_for_update() if for_update else query)
    if draft is None:
        raise NotFound
    return draft


def list_drafts(session: Session) -> list[ChangeDraft]:
    """The drafts that are neither published nor discarded, the last touched first."""
    query = select(ChangeDraft).where(
        ChangeDraft.published_as.is_(None), ChangeDraft.discarded_at.is_(None)
    )
    return list(session.scalars(query.order_by(ChangeDraft.updated_at.desc(), ChangeDraft.id)))


def find_outlook(session: Session, content: Content) -> Outlook:
    """What a draft of this content would do if it were published now."""
    return look(signed_log(session).history, content, at=clock.timestamp())


def find_preview(session: Session, content: Content) -> ChangePage | None:
    """A draft as readers would see it if it were published now; None while it cannot be read."""
    log, at = signed_log(session).history.copy(), clock.timestamp()
    try:
        draft = parse_draft({**content, **dict.fromkeys(_missing(content), _UNWRITTEN)})
        announced = compose(log, draft, at=at, change_id=_NO_ID)
    except InvalidField:
        return None
    for entry in _entries(log, draft, announced, at=at):
        log.append(entry)
    return page_of(Timeline(log), announced.change, {1: draft.reason}, at=at)


def find_base(
    session: Session, content: Content, *, size: int | None = None, at: int | None = None
) -> Lasting:
    """What a draft of this content starts from; else as it was at `at`, in a log of `size` entries."""
    log, now = signed_log(session), clock.timestamp()
    history = log.history if size is None or size >= log.size else read(log.entries[:size])
    return base_of(history, content, at=now if at is None else at)


def list_moves(session: Session, draft: ChangeDraft) -> tuple[Line, ...]:
    """What a draft gives a value to and what is no longer as it was when the draft was saved."""
    log, saved_at = signed_log(session), int(draft.updated_at.timestamp())
    old = base_of(read(log.entries[: draft.base_size]), draft.content, at=saved_at)
    return moves(draft.content, old, base_of(log.history, draft.content, at=clock.timestamp()))


# ---- pure ----


def look(log: History, content: Content, *, at: int) -> Outlook:
    """What a draft would do if it were published at Unix second `at`."""
    missing = _missing(content)
    try:
        draft = parse_draft({**content, **dict.fromkeys(missing, _UNWRITTEN)})
        if not any(True for _ in _asked(draft)):
            return Outlook(at, missing=missing, is_untouched=True)
        announced = compose(log, draft, at=at, change_id=_NO_ID)
    except InvalidField as error:
        return Outlook(at, refusal=bad_change(error).public, missing=missing)
    known = without_replaced(log, draft, at=at)
    effect = effect_at_place(known, as_change(announced, seq=known.size, at=at))
    refusal, earliest = _judge(log, draft, announced, at=at)
    return Outlook(
        at,
        effective_at=announced.effective_at,
        diff=diff_of(effect),
        announcement=announced,
        earliest=earliest,
        refusal=refusal,
        missing=missing,
    )


def _judge(
    log: History, draft: Draft, announced: Announcement, *, at: int
) -> tuple[str | None, int | None]:
    """The refusal of what publishing would append, and the first lawful effective instant."""
    history = log.copy()
    *gone, last = _entries(log, draft, announced, at=at)
    try:
        for new in gone:
            rules.check_next(history, new, at)
            history.append(new)
        rules.check_next(history, last, at)
    except rules.RuleBroken as error:
        return error.text, error.earliest
    return None, rules.earliest_lawful(history, announced, at)


def _entries(
    log: History, draft: Draft, announced: Announcement, *, at: int
) -> list[dict[str, Any]]:
    """What publishing would append to the log."""
    gone = [(act.kind, act.to_wire()) for act in withdrawals(draft, number=announced.change)]
    return [
        {"at": at, "body": body, "kind": kind, "seq": seq}
        for seq, (kind, body) in enumerate([*gone, (ANNOUNCED, announced.to_wire())], log.size)
    ]


def _missing(content: Content) -> tuple[str, ...]:
    return tuple(name for name in ("title", "reason") if not str(content.get(name, "")).strip())


def base_of(log: History, content: Content, *, at: int) -> Lasting:
    """The limits that a draft of this content changes, as they are just before it takes effect.

    What cannot be read yet counts as not given.
    """
    draft = _frame(content)
    try:
        known = without_replaced(log, draft, at=max(at, log.last_at))
    except InvalidField:
        known = log
    start = max(at, draft.effective_at or at)
    if draft.change_class is ChangeClass.EMERGENCY_CUT:
        return with_raises(known, start)
    return known.lasting(start)


def _frame(content: Content) -> Draft:
    """Of a draft, only what decides where it starts."""
    frame = {"title": _UNWRITTEN, "reason": _UNWRITTEN, "class": content.get("class", "lasting")}
    for name in ("effective_at", "replaces"):
        try:
            value = content.get(name)
            parse_draft({**frame, name: [] if value is None and name == "replaces" else value})
        except InvalidField:
            continue
        if value is not None:
            frame[name] = value
    try:
        return parse_draft(frame)
    except InvalidField:
        return parse_draft({**frame, "class": ChangeClass.LASTING.value})


def moves(content: Content, old: Lasting, new: Lasting) -> tuple[Line, ...]:
    """What differs between two layers of all that a draft gives a value to."""
    try:
        draft = parse_draft({**content, "title": _UNWRITTEN, "reason": _UNWRITTEN})
    except InvalidField:
        return ()
    items = (item for item in _starts(draft, old, new) if item.before != item.after)
    return lines_of(items, (old, new))


def _starts(draft: Draft, old: Lasting, new: Lasting) -> Iterator[Item]:
    """Everything that a draft gives a value to, with what each layer says of it."""
    for part, cell in _asked(draft):
        before, after = _value(old, part, cell), _value(new, part, cell)
        yield Item(*part, cell, before, after, Direction.NEUTRAL)


def _asked(draft: Draft) -> Iterator[tuple[Part, Cell | None]]:
    yield from ((Part.of_cell(cell), cell) for cell, _ in draft.rows)
    yield from ((Part(PartKind.OFFER, offer.tier, offer.model), None) for offer in draft.offers)
    yield from ((Part(PartKind.TIER, tier.slug), None) for tier in draft.tiers)
    yield from ((Part(PartKind.MODEL, model=model.slug), None) for model in draft.models)
    for tier, amounts in draft.counting["reserve"].items():
        yield from ((Part(PartKind.RESERVE, tier, metric=metric), None) for metric in amounts)
    yield from ((Part(PartKind.TEXT, metric=each), None) for each in draft.counting["texts"])


def _value(layer: Lasting, part: Part, cell: Cell | None) -> Any:
    """What a layer says of a part, as an `Item` has it."""
    if cell is not None:
        return layer.limit(cell)
    if part.kind is PartKind.RESERVE:
        return layer.reserve.get(part.tier, {}).get(part.metric)
    if part.kind is PartKind.TEXT:
        return layer.texts.get(part.metric)
    return value_of(layer, part)
