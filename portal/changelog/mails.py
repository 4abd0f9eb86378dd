"""What readers are told: in the first line the answer for them, then what changes, why, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from plimsoll.contract.acts import AMENDED, HELD, RELEASED, RESCHEDULED, WITHDRAWN
from plimsoll.contract.announcement import ChangeClass
from plimsoll.contract.direction import Direction, overall, takes_away
from plimsoll.contract.effect import Effect
from plimsoll.contract.history import ANNOUNCED, ChangeInLog
from portal.changelog import words
from portal.changelog.diff import Diff
from portal.changelog.life import reason_in_words
from portal.changelog.subscribers import Reader, unsubscribe_token
from portal.core.outbox import Message
from portal.web.filters import instant, iso, plural

# The kinds of mails that no entry of the log brings.
REMINDER = "reminder"
EFFECT = "effect"

SUBJECT_MAX = 200
SENTENCES_MAX = 25
REASON_MAX = 600

_SUBJECTS = {
    ANNOUNCED: "Change {number}",
    AMENDED: "Change {number} in other words",
    HELD: "Change {number} is held",
    RELEASED: "Change {number} is released",
    RESCHEDULED: "Change {number} has another date",
    WITHDRAWN: "Change {number} is withdrawn",
    REMINDER: "Change {number} in {left}",
    EFFECT: "Change {number} takes effect",
}
_ENDS = {REMINDER: "Change {number} ends in {left}", EFFECT: "Change {number} has ended"}
_BECOME = {
    Direction.LOOSENING: "rise",
    Direction.TIGHTENING: "get tighter",
    Direction.MIXED: "change: some rise, some get tighter",
    Direction.NEUTRAL: "change, but none gets tighter",
}
_ARE = {
    Direction.LOOSENING: "are higher",
    Direction.TIGHTENING: "are tighter",
    Direction.MIXED: "have changed: some are higher, some tighter",
    Direction.NEUTRAL: "have changed, but none is tighter",
}


@dataclass(frozen=True)
class Place:
    """The portal's own address, and the key with which its unsubscribe links are signed."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ChangeNews:
    """One event in the life of a change. Instants are Unix seconds.

    `kind` is that of the entry, REMINDER or EFFECT; `turns_at` the instant it is about, and
    `turned_at` where that was before a new date; `reason` why the change is made, in Markdown;
    `said` why it is held or withdrawn; `followers` the numbers of the changes that are held along.
    """

    kind: str
    change: ChangeInLog
    effect: Effect
    diff: Diff
    at: int
    turns_at: int
    reason: str
    turned_at: int | None = None
    days_left: int = 0
    said: str = ""
    replaced_by: int | None = None
    followers: tuple[int, ...] = ()

    @property
    def ends_raise(self) -> bool:
        """Whether the turn is a temporary raise's end, not a start."""
        temporary = self.change.announcement.change_class is ChangeClass.TEMPORARY_RAISE
        return temporary and self.kind in {REMINDER, EFFECT}


@dataclass(frozen=True, kw_only=True)
class PlainNews:
    """An announcement without limits."""

    id: str
    title: str
    text: str
    tier_names: Mapping[str, str]


def event_of_entry(number: int, seq: int) -> str:
    """What the outbox calls the mails about one entry of the log."""
    return f"change:{number}:{seq}"


def about_change(news: ChangeNews, reader: Reader, place: Place) -> Message:
    """One event of a change, for one reader."""
    tiers = {**news.effect.before.tiers, **news.effect.after.tiers}
    to = _Addressee(reader, {slug: tier.name for slug, tier in tiers.items()})
    number = news.change.number
    parts = [
        _answer(news, to),
        _steps(news, to),
        _why(news),
        _next(news, to, place),
        f"Change {number}, “{news.change.title}”:\n{place.url}/changelog/{number}",
    ]
    subjects = _ENDS if news.ends_raise else _SUBJECTS
    subject = subjects[news.kind].format(number=number, left=plural(news.days_left, "day"))
    return _letter(f"{subject}: {news.change.title}", parts, to=to, place=place)


def about_news(news: PlainNews, reader: Reader, place: Place) -> Message:
    """An announcement without limits, for one reader."""
    to = _Addressee(reader, news.tier_names)
    parts = [
        f"News for {to.whom}: no limit changes.",
        news.text,
        f"“{news.title}”:\n{place.url}/changelog/{news.id}",
    ]
    return _letter(news.title, parts, to=to, place=place)


@dataclass(frozen=True)
class _Addressee:
    """A reader, with the names of the tiers that the mail speaks of."""

    reader: Reader
    names: Mapping[str, str]

    @property
    def whom(self) -> str:
        """Whom it concerns: "Acme (tier Build) and Delta (tier Scale)", or the tiers subscribed to."""
        if self.reader.is_owner:
            return words.listing(
                f"{org} (tier {self._name(slug)})" for org, slug in self.reader.orgs
            )
        slugs = [slug for _, slug in self.reader.subscriptions]
        if None in slugs:
            return "every tier"
        return "the tier " + words.listing(self._name(slug) for slug in slugs if slug is not None)

    @property
    def slugs(self) -> set[str] | None:
        """The tiers that they are told about; None = all."""
        slugs = {slug for _, slug in (self.reader.orgs or self.reader.subscriptions)}
        return None if None in slugs else {slug for slug in slugs if slug is not None}

    def concerns(self, slug: str) -> bool:
        """Whether what belongs to this tier, or (empty) to none, is for them."""
        return not slug or self.slugs is None or slug in self.slugs

    def direction(self, effect: Effect) -> Direction:
        """What a change does to their tiers."""
        return overall(item.direction for item in effect.items if self.concerns(item.tier))

    def _name(self, slug: str) -> str:
        return self.names.get(slug, slug)


def _letter(subject: str, parts: list[str], *, to: _Addressee, place: Place) -> Message:
    url = None
    if not to.reader.is_owner:
        token = unsubscribe_token([each for each, _ in to.reader.subscriptions], key=place.key)
        url = f"{place.url}/changelog/unsubscribe/{token}"
    parts.append(f"--\n{_because(to, url)}")
    return Message(
        to=to.reader.email,
        subject=subject if len(subject) <= SUBJECT_MAX else f"{subject[: SUBJECT_MAX - 1]}…",
        text="\n\n".join(part for part in parts if part) + "\n",
        unsubscribe_url=url,
    )


def _because(to: _Addressee, url: str | None) -> str:
    if url is None:
        return (
            f"You get this mail because you own {to.whom}.\n"
            "Mails about the limits of your own organisations cannot be switched off:\n"
            "that you are told in time is part of the promise."
        )
    return f"You get this mail because you subscribe to {to.whom}. To end it:\n{url}"


def _answer(news: ChangeNews, to: _Addressee) -> str:
    whose = f"the limits of {to.whom}"
    if news.kind == HELD:
        return (
            f"What was to change for {to.whom} on {instant(news.turns_at)} is held: "
            "it takes no effect before it is released, and you will be told when."
        )
    if news.kind == WITHDRAWN:
        return _withdrawn(news, whose)
    if news.kind == AMENDED:
        return f"What changes for {to.whom} and when stays; the words have changed."
    if news.ends_raise:
        return _raise_ends(news, whose)
    answer = _turn(news, whose, direction=to.direction(news.effect))
    is_cut = news.change.announcement.change_class is ChangeClass.EMERGENCY_CUT
    return f"{answer} This is an emergency cut, without notice." if is_cut else answer


def _turn(news: ChangeNews, whose: str, *, direction: Direction) -> str:
    """What happens at the change's instant, seen from when the mail is written."""
    when, end = instant(news.turns_at), news.change.expires_at
    until = f", until {instant(end)}" if end is not None else ""
    if news.turns_at <= news.at:
        return f"Since {when}, {whose} {_ARE[direction]}{until}."
    return f"{_from(news, when)}, {whose} {_BECOME[direction]}{until}."


def _from(news: ChangeNews, when: str) -> str:
    if news.kind == REMINDER:
        return f"In {plural(news.days_left, 'day')}, from {when}"
    if news.kind == RELEASED:
        return f"What was held takes effect after all: from {when}"
    if news.kind == RESCHEDULED and news.turned_at is not None:
        return f"From {when}, and not from {instant(news.turned_at)}"
    return f"From {when}"


def _raise_ends(news: ChangeNews, whose: str) -> str:
    when = instant(news.turns_at)
    if news.kind == EFFECT:
        return f"The temporary raise has ended: since {when} {whose} are as they were without it."
    return (
        f"In {plural(news.days_left, 'day')}, at {when}, the temporary raise ends: "
        f"{whose} are then as they are without it."
    )


def _withdrawn(news: ChangeNews, whose: str) -> str:
    if news.turns_at <= news.at:
        return f"The cut has ended early: since {instant(news.at)} {whose} are as before it."
    answer = f"What was to change from {instant(news.turns_at)} is withdrawn: {whose} stay."
    if news.replaced_by is None:
        return answer
    return f"{answer} Change {news.replaced_by} takes its place; you are told of it if it concerns you."


def _steps(news: ChangeNews, to: _Addressee) -> str:
    """The sentences of the diff that concern the reader, under a heading that says how to take them."""
    names = None if to.slugs is None else {to.names.get(slug, slug) for slug in to.slugs}
    lines = [
        line for line in news.diff.lines if names is None or not line.tier or line.tier in names
    ]
    shown = [f"- {line.sentence}" for line in lines[:SENTENCES_MAX]]
    if not shown:
        return ""
    if more := len(news.diff.lines) - len(shown):
        shown.append(f"- and {plural(more, 'line')} more, on the change's page")
    return f"{_heading(news)}\n\n" + "\n".join(shown)


def _heading(news: ChangeNews) -> str:
    if news.kind in {HELD, WITHDRAWN}:
        return "What it was to change:"
    return "What it raised:" if news.ends_raise else "What changes:"


def _why(news: ChangeNews) -> str:
    if news.kind in {HELD, WITHDRAWN}:
        held_along = [f"Change {number}" for number in news.followers]
        along = ""
        if held_along:
            verb = "is" if len(held_along) == 1 else "are"
            along = f"\n\n{words.listing(held_along)}, which stands on it, {verb} held with it."
        return f"The reason given:\n\n{reason_in_words(news.said)}{along}"
    if news.kind in {REMINDER, EFFECT}:
        return ""
    return f"The reason given:\n\n{_short(news.reason)}"


def _short(text: str) -> str:
    """The first paragraph, as it was typed."""
    first = text.strip().partition("\n\n")[0]
    return first if len(first) <= REASON_MAX else f"{first[: REASON_MAX - 1].rstrip()}…"


def _next(news: ChangeNews, to: _Addressee, place: Place) -> str:
    """What the reader can do."""
    if news.kind in {HELD, WITHDRAWN, AMENDED}:
        return ""
    ahead = news.turns_at > news.at
    if not ahead:
        return f"All limits as they are now: {place.url}/limits"
    then = f"{place.url}/limits?at={iso(news.turns_at)}"
    if not (takes_away(to.direction(news.effect)) or news.ends_raise):
        return f"You need do nothing. All limits as they will be: {then}"
    return (
        "What you can do: compare the limits with what you use, and spread or lower it before then.\n"
        "Until then answers of the API carry the header Plimsoll-Limit-Change.\n"
        f"All limits as they will be: {then}"
    )
