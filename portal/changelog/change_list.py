"""The changelog: changes and plain news in one list, newest first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.announcement import ChangeClass
from plimsoll.contract.direction import Direction, takes_away
from plimsoll.contract.fold import Policy
from portal.accounts.models import User
from portal.changelog import words
from portal.changelog.ahead import Outline, outline
from portal.changelog.announcements import list_announcements
from portal.changelog.diff import direction_word
from portal.changelog.lines import EVERYONE, ChangeLine, NewsLine, change_line, news_line
from portal.changelog.models import ChangelogRead
from portal.changelog.reading import EPOCH
from portal.changelog.timeline import verdict
from portal.core import clock
from portal.orgs.queries import list_orgs_of
from portal.tiers.queries import current_tiers
from portal.transparency.queries import Timeline, signed_log

PAGE_LENGTH = 30

_CLASSES = {
    ChangeClass.LASTING: "",
    ChangeClass.TEMPORARY_RAISE: "temporary raise",
    ChangeClass.EMERGENCY_CUT: "emergency cut",
}


@dataclass(frozen=True)
class Filter:
    """What of the list is asked for; empty means all."""

    tiers: Sequence[str] = ()
    model: str = ""
    direction: str = ""
    is_upcoming: bool = False

    @property
    def is_empty(self) -> bool:
        return self == Filter()

    @property
    def names_a_change(self) -> bool:
        """Whether only changes can be meant."""
        return bool(self.model or self.direction or self.is_upcoming)


@dataclass(frozen=True)
class Reader:
    """Who reads: their organisations by name, each with its tier's slug; `read_at` is how far."""

    orgs: tuple[tuple[str, str], ...] = ()
    read_at: datetime | None = None

    @property
    def tiers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tier for _, tier in self.orgs))


@dataclass(frozen=True)
class Entry:
    """A line with what the list says of it: whom it concerns, what it does, whether it is new."""

    line: ChangeLine | NewsLine
    whom: str
    direction: str
    direction_code: str
    manner: str
    is_unread: bool


@dataclass(frozen=True)
class ChangeList:
    """A page of the list. `ahead` is what comes next for the reader, whatever the filter."""

    entries: tuple[Entry, ...]
    count: int
    number: int
    pages: int
    ahead: Outline
    mine: tuple[tuple[str, str], ...]
    unread: int
    until: str
    is_empty: bool


@dataclass(frozen=True)
class Choices:
    """What can be asked for, as (slug, name)."""

    tiers: tuple[tuple[str, str], ...]
    models: tuple[tuple[str, str], ...]


def get_reader(session: Session, user_id: str | None) -> Reader:
    """The person who reads, or nobody in particular."""
    if user_id is None:
        return Reader()
    orgs = list_orgs_of(session, user_id)
    tiers = current_tiers(session, [org.id for org in orgs])
    # Who has never marked anything has read what was there before they came.
    since = select(ChangelogRead.read_at).where(ChangelogRead.user_id == user_id)
    read_at = session.scalar(since) or session.get_one(User, user_id).created_at
    return Reader(tuple((org.name, tiers[org.id]) for org in orgs if org.id in tiers), read_at)


def get_choices(session: Session) -> Choices:
    """The tiers and models that changes can be about."""
    policy = last_policy(signed_log(session))
    return Choices(
        tiers=tuple((tier.slug, tier.name) for tier in policy.tiers_by_rank()),
        models=tuple((slug, model.name) for slug, model in policy.models.items()),
    )


def get_change_list(
    session: Session, *, asked: Filter, reader: Reader, number: int = 1
) -> ChangeList:
    """Page `number` of what is asked for, and what will change next for the reader."""
    log, now = signed_log(session), clock.timestamp()
    changes = (change_line(change, at=now) for change in log.history.changes.values())
    news = (news_line(news) for news in list_announcements(session))
    everything: list[ChangeLine | NewsLine] = sorted(
        [*changes, *news], key=lambda line: line.order, reverse=True
    )
    found = [line for line in everything if _is_asked(log, line, asked)]
    pages = max(1, -(-len(found) // PAGE_LENGTH))
    number = min(max(1, number), pages)
    shown = found[(number - 1) * PAGE_LENGTH : number * PAGE_LENGTH]
    policy = last_policy(log)
    return ChangeList(
        entries=tuple(_entry(log, line, policy=policy, reader=reader) for line in shown),
        count=len(found),
        number=number,
        pages=pages,
        ahead=outline(log, at=now, tiers=reader.tiers),
        mine=tuple((org, names(policy, [tier])) for org, tier in reader.orgs),
        unread=sum(_is_unread(line, reader) for line in everything),
        until=_until(everything),
        is_empty=not everything,
    )


def manner(line: ChangeLine, *, is_retirement: bool) -> str:
    """The class of a change where it is not an ordinary one."""
    retires = "retirement" if is_retirement else ""
    return _CLASSES[line.change_class] or retires


def names(policy: Policy, tiers: Iterable[str]) -> str:
    """Tiers by name, lowest first: "Start and Build"; "every tier" for all."""
    asked = set(tiers)
    if EVERYONE in asked or (len(policy.tiers) > 1 and asked >= set(policy.tiers)):
        return "every tier"
    known: Mapping[str, str] = {tier.slug: tier.name for tier in policy.tiers_by_rank()}
    order = [slug for slug in known if slug in asked] + sorted(asked - set(known))
    return words.listing(known.get(slug, slug) for slug in order)


def last_policy(timeline: Timeline) -> Policy:
    """The policy behind all that is announced, which knows every name; names of held ones too late."""
    instants = timeline.history.instants()
    return timeline.policy(instants[-1] if instants else 0)


def _is_asked(timeline: Timeline, line: ChangeLine | NewsLine, asked: Filter) -> bool:
    models = [asked.model] if asked.model else []
    if not line.touches(tiers=asked.tiers, models=models):
        return False
    if isinstance(line, NewsLine):
        return not asked.names_a_change
    if asked.is_upcoming and not line.is_upcoming:
        return False
    return not asked.direction or _goes(verdict(timeline, line.number).direction, asked.direction)


def _goes(direction: Direction, asked: str) -> bool:
    """Mixed counts as tightening."""
    is_taking = asked == Direction.TIGHTENING and takes_away(direction)
    return is_taking or direction.value == asked


def _entry(
    timeline: Timeline, line: ChangeLine | NewsLine, *, policy: Policy, reader: Reader
) -> Entry:
    whom, unread = names(policy, line.tiers), _is_unread(line, reader)
    if isinstance(line, NewsLine):
        return Entry(line, whom, "", "", "", unread)
    called = verdict(timeline, line.number)
    word = direction_word(called.direction)
    kind = manner(line, is_retirement=called.is_retirement)
    return Entry(line, whom, word, called.direction.value, kind, unread)


def _is_unread(line: ChangeLine | NewsLine, reader: Reader) -> bool:
    return reader.read_at is not None and _moved_at(line) > reader.read_at


def _moved_at(line: ChangeLine | NewsLine) -> datetime:
    """When something was last published about it."""
    if isinstance(line, NewsLine):
        return max(line.published_exactly, line.withdrawn_at or line.published_exactly)
    return datetime.fromtimestamp(line.updated_at, UTC)


def _until(lines: Iterable[ChangeLine | NewsLine]) -> str:
    """Up to where a reader of this list has read, as the form of the mark carries it."""
    newest = max((_moved_at(line) for line in lines), default=None)
    return str((newest - EPOCH) // timedelta(microseconds=1)) if newest else "0"
