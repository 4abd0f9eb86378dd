from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal.changelog.ahead import Outline, outline
from portal.changelog.change_list import get_reader, names
from portal.changelog.lines import ChangeLine, change_line
from portal.changelog.table import LimitsTable, make_table
from portal.changelog.timeline import turn_before
from portal.core import clock
from portal.transparency.queries import SignedLog, Timeline, signed_log


@dataclass(frozen=True)
class LimitsPage:
    """The limits at `at` (Unix seconds) as they were published by `known_at`, None = by now.

    `since` is the change that was the last to alter anything, `ahead` what is announced beyond.
    """

    table: LimitsTable
    at: int
    known_at: int | None
    is_now: bool
    is_ahead: bool
    since: ChangeLine | None
    since_at: int
    is_anything_published: bool
    ahead: Outline
    held: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Document:
    """What `/limits.json` is made from. `next_at` is the next instant at which limits may differ."""

    timeline: Timeline
    at: int
    next_at: int | None


def get_limits_page(
    session: Session, *, at: int | None, known_at: int | None = None, user_id: str | None
) -> LimitsPage:
    """The limits at an instant, or now; a signed-in reader's organisations are marked."""
    log, now = signed_log(session), clock.timestamp()
    timeline = _known(log, known_at)
    instant = now if at is None else at
    policy, reader = timeline.policy(instant), get_reader(session, user_id)
    since_at, since = _since(timeline, instant)
    return LimitsPage(
        table=make_table(timeline, instant, held=_by_tier(reader.orgs)),
        at=instant,
        known_at=known_at,
        is_now=at is None and known_at is None,
        is_ahead=instant > now,
        since=since,
        since_at=since_at,
        is_anything_published=bool(log.history.changes),
        ahead=outline(timeline, at=instant),
        held=tuple(
            (org, names(policy, [tier])) for org, tier in reader.orgs if tier in policy.tiers
        ),
    )


def get_document(session: Session, *, at: int | None, known_at: int | None) -> Document:
    """What `/limits.json` is made from."""
    log, now = signed_log(session), clock.timestamp()
    # A document of another instant ages too: with the next entry it may end otherwise.
    return Document(
        timeline=_known(log, known_at),
        at=now if at is None else at,
        next_at=log.next_step(now),
    )


def _known(log: SignedLog, known_at: int | None) -> Timeline:
    return log if known_at is None else log.known(known_at)


def _since(timeline: Timeline, at: int) -> tuple[int, ChangeLine | None]:
    """The newest instant at which limits came to be what they are at `at`, and the change."""
    turn = turn_before(timeline, at)
    if turn is None:
        return 0, None
    return turn.at, change_line(timeline.history.changes[turn.change], at=at)


def _by_tier(orgs: tuple[tuple[str, str], ...]) -> Mapping[str, tuple[str, ...]]:
    return {
        tier: tuple(name for name, held in orgs if held == tier) for tier in {t for _, t in orgs}
    }
