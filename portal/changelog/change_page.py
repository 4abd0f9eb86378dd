"""One change as everyone reads it: what happens, for whom, when, why, and its whole life."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.direction import takes_away
from plimsoll.contract.effect import Effect
from plimsoll.contract.history import ChangeInLog, Wording
from portal.changelog import words
from portal.changelog.advice import advice
from portal.changelog.change_list import manner, names
from portal.changelog.diff import Diff, diff_of
from portal.changelog.errors import WordsLost
from portal.changelog.life import (
    Event,
    Notice,
    Step,
    life_of,
    notice_of,
    reason_in_words,
    steps_of,
)
from portal.changelog.lines import ChangeLine, change_line
from portal.changelog.models import ChangeWords
from portal.changelog.prose import render
from portal.changelog.timeline import effect
from portal.core import clock
from portal.core.errors import NotFound
from portal.transparency.queries import Timeline, signed_log


@dataclass(frozen=True)
class Version:
    """One version of a change's words. `is_there` is False after the database was lost."""

    wording: Wording
    is_there: bool


@dataclass(frozen=True)
class ChangePage:
    """A change with all that is known of it. `reason` is None where the words are lost; then, as
    where somebody altered them in the database, the log's `reason_sha256` is what is left."""

    line: ChangeLine
    id: str
    headline: str
    manner: str
    diff: Diff
    reason: Markup | None
    is_reason_true: bool
    reason_sha256: str
    notice: Notice | None
    steps: tuple[Step, ...]
    life: tuple[Event, ...]
    versions: tuple[Version, ...]
    advice: tuple[str, ...]
    hold_reason: str
    held_by: int | None
    withdraw_reason: str


def get_change_page(session: Session, number: int) -> ChangePage:
    """A change whose entry is signed. Raises NotFound."""
    return page_of(signed_log(session), number, _texts(session, number), at=clock.timestamp())


def page_of(log: Timeline, number: int, texts: Mapping[int, str], *, at: int) -> ChangePage:
    """A change on a timeline, with the versions of its words. Raises NotFound."""
    found = _find(log, number)
    does, line = effect(log, number), change_line(found, at=at)
    diff = diff_of(does)
    text = texts.get(len(found.wordings))
    return ChangePage(
        line=line,
        id=found.announcement.id,
        headline=_headline(does, diff, whom=names(does.after, line.tiers)),
        manner=manner(line, is_retirement=does.is_retirement),
        diff=diff,
        reason=None if text is None else render(text),
        is_reason_true=text is None or hash_reason(text) == found.reason_sha256,
        reason_sha256=found.reason_sha256,
        notice=notice_of(log.history, found, does, at=at),
        steps=steps_of(found, at=at),
        life=life_of(found),
        versions=tuple(Version(each, each.version in texts) for each in reversed(found.wordings)),
        advice=advice(line, does, found.announcement.offers),
        hold_reason=reason_in_words(found.hold_reason or ""),
        held_by=found.held_by,
        withdraw_reason=found.withdraw_reason or "",
    )


def get_reason(session: Session, number: int, version: int | None = None) -> str:
    """The words of a change, the newest unless told. Raises NotFound, WordsLost."""
    found = _find(signed_log(session), number)
    asked = len(found.wordings) if version is None else version
    if not 1 <= asked <= len(found.wordings):
        raise NotFound
    text = _texts(session, number).get(asked)
    if text is None:
        raise WordsLost(found.wordings[asked - 1].reason_sha256)
    return text


def _headline(effect: Effect, diff: Diff, *, whom: str) -> str:
    """What a change does in one clause; what it takes away comes before all else."""
    taken = [line for line in diff.lines if line.direction_code in {"tightening", "mixed"}]
    told = taken if takes_away(effect.direction) else diff.lines
    if len(diff.lines) > 1 and told is not taken:
        return f"{_counts(effect)} for {whom}"
    if not told:
        return f"nothing changes any more for {whom}"
    more = len(diff.lines) - 1
    return told[0].sentence + (f", and {more:,} more" if more else "")


def _counts(effect: Effect) -> str:
    """How many limits are new, changed or removed, and how many other terms."""
    limits = [item for item in effect.items if item.cell is not None]
    new = sum(item.before is None for item in limits)
    removed = sum(item.after is None for item in limits)
    counts = {"new": new, "changed": len(limits) - new - removed, "removed": removed}
    said = [f"{count:,} {word}" for word, count in counts.items() if count]
    parts = [f"{words.listing(said)} {'limit' if len(limits) == 1 else 'limits'}"] if said else []
    if others := len(effect.items) - len(limits):
        parts.append(f"{others:,} other {'term' if others == 1 else 'terms'}")
    return words.listing(parts)


def _find(timeline: Timeline, number: int) -> ChangeInLog:
    found = timeline.history.changes.get(number)
    if found is None:
        raise NotFound
    return found


def _texts(session: Session, number: int) -> Mapping[int, str]:
    rows = session.execute(
        select(ChangeWords.version, ChangeWords.reason).where(ChangeWords.number == number)
    )
    return {version: reason for version, reason in rows}  # noqa: C416 -- rows are no pairs to mypy
