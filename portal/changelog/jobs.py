"""Tells readers what the signed log says of changes. What was told is a row; nothing is written while idle.

Each event is mailed in batches with a transaction each, and only then counted as told: killed in
between, or in two processes at once, it is gone through again, and the outbox takes each person once.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import acts
from plimsoll.contract.effect import OPENING_CHANGE, effect_of
from plimsoll.contract.history import ChangeInLog, History, read
from portal.changelog import mails
from portal.changelog.delivery import check_delivery, must_be_told
from portal.changelog.diff import diff_of
from portal.changelog.mails import ChangeNews, Place, PlainNews, event_of_entry
from portal.changelog.models import ChangeWords, PlainAnnouncement
from portal.changelog.progress import advance, get_progress
from portal.changelog.reminders import Reminder, passed
from portal.changelog.subscribers import Reader, list_readers
from portal.config import Settings
from portal.core import clock
from portal.core.db import Sessions, transaction
from portal.core.jobs import Job
from portal.core.outbox import Message, queue_mails
from portal.transparency.queries import SignedLog, signed_log

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Event:
    """What the outbox calls it, whom it concerns (None = everyone), and the letter to one of them."""

    name: str
    tiers: frozenset[str] | None
    letter: Callable[[Reader], Message]


def jobs(sessions: Sessions, settings: Settings) -> list[Job]:
    """Queue what readers are told; the outbox's own job sends it."""
    place = Place(settings.url, settings.secret_key)
    return [
        Job("change mails", lambda: mail_entries(sessions, place)),
        Job("reminders", lambda: mail_reminders(sessions, place)),
        Job("announcement mails", lambda: mail_announcements(sessions, place)),
    ]


def late_jobs(sessions: Sessions, settings: Settings) -> list[Job]:
    """What looks at the mails that were handed over, and so comes after they were sent."""
    return [Job("notice delivery", lambda: check_delivery(sessions, settings))]


# ---- entries of the log ----


def mail_entries(sessions: Sessions, place: Place) -> int:
    """Tell of each signed entry of a change that readers were not told of."""
    with sessions() as session:
        log, done = signed_log(session), get_progress(session)
        events = list(_entry_events(session, log, place=place, start=done.size))
    queued = sum(_queue(sessions, event) for event in events)
    if done.size < log.size:
        advance(sessions, size=log.size)
    return queued


def _entry_events(session: Session, log: SignedLog, *, place: Place, start: int) -> Iterator[Event]:
    for entry in log.entries[start:]:
        # What is not about a change may name one, as a decision names what came of it.
        if not entry["kind"].startswith("change."):
            continue
        number = entry["body"]["change"]
        # Nobody is on a tier before change 1, so there is nobody to tell of it.
        if number == OPENING_CHANGE:
            continue
        history = _as_of(log, number=number, seq=entry["seq"])
        news = _entry_news(session, history, number=number, entry_kind=entry["kind"])
        if news is not None:
            yield _change_event(event_of_entry(number, entry["seq"]), news, place)


def _as_of(log: SignedLog, *, number: int, seq: int) -> History:
    """The log as it was at an entry, where more was said of the change since; else as it is."""
    change = log.history.changes.get(number)
    if change is not None and change.seqs[-1] == seq:
        return log.history
    return read(log.entries[: seq + 1])


def _entry_news(
    session: Session, history: History, *, number: int, entry_kind: str
) -> ChangeNews | None:
    """What an entry, the newest of its change in `history`, says; None for other spellings of the same words."""
    change = history.changes[number]
    words = _reasons(session, number)
    if entry_kind == acts.AMENDED and not _differ(change, words):
        return None
    act = change.steps[-1].body if change.steps else None
    effect = effect_of(history, number)
    return ChangeNews(
        kind=entry_kind,
        change=change,
        effect=effect,
        diff=diff_of(effect),
        at=change.steps[-1].at if change.steps else change.announced_at,
        turns_at=change.effective_at,
        turned_at=_dated_before(change),
        reason=words.get(len(change.wordings), ""),
        said=act.reason if isinstance(act, acts.Held | acts.Withdrawn) else "",
        replaced_by=change.replaced_by,
        followers=_followers(history, number),
    )


def _reasons(session: Session, number: int) -> dict[int, str]:
    """The reason in each version."""
    query = select(ChangeWords.version, ChangeWords.reason).where(ChangeWords.number == number)
    return dict(session.execute(query).all())


def _differ(change: ChangeInLog, reasons: dict[int, str]) -> bool:
    """Whether an amendment says something else: not only its case, marks or spaces."""
    before, after = (
        WORD.findall(f"{wording.title} {reasons.get(wording.version, '')}".casefold())
        for wording in change.wordings[-2:]
    )
    return before != after


def _dated_before(change: ChangeInLog) -> int:
    """The instant that the newest date took the place of."""
    bodies = [step.body for step in change.steps[:-1]]
    dated = [
        body.effective_at for body in bodies if isinstance(body, acts.Released | acts.Rescheduled)
    ]
    return [change.announcement.effective_at, *dated][-1]


def _followers(history: History, number: int) -> tuple[int, ...]:
    return tuple(each.number for each in history.changes.values() if each.held_by == number)


def _change_event(name: str, news: ChangeNews, place: Place) -> Event:
    return Event(name, news.effect.tiers, lambda reader: mails.about_change(news, reader, place))


# ---- reminders ----


def mail_reminders(sessions: Sessions, place: Place) -> int:
    """Remind of what will be taken away, before it and when it is."""
    now = clock.timestamp()
    with sessions() as session:
        log, done = signed_log(session), get_progress(session)
        due = passed(log.history, done.reminded_until, now)
        events = [
            _change_event(reminder.event, news, place)
            for reminder in due
            if (news := _reminder_news(log.history, reminder, now)) is not None
        ]
    queued = sum(_queue(sessions, event) for event in events)
    if due:
        advance(sessions, reminded_until=now)
    return queued


def _reminder_news(history: History, reminder: Reminder, now: int) -> ChangeNews | None:
    change = reminder.change
    if change.number == OPENING_CHANGE:
        return None
    effect = effect_of(history, change.number)
    is_raise = reminder.turns_at == change.expires_at
    if not (is_raise or must_be_told(effect)):
        return None
    return ChangeNews(
        kind=mails.REMINDER if reminder.days else mails.EFFECT,
        change=change,
        effect=effect,
        diff=diff_of(effect),
        at=now,
        turns_at=reminder.turns_at,
        reason="",
        days_left=reminder.days,
    )


# ---- announcements without limits ----


def mail_announcements(sessions: Sessions, place: Place) -> int:
    """Tell of each announcement that readers were not told of, unless it is withdrawn already."""
    query = select(PlainAnnouncement).where(
        PlainAnnouncement.mailed_at.is_(None), PlainAnnouncement.withdrawn_at.is_(None)
    )
    with sessions() as session:
        waiting = session.scalars(query.order_by(PlainAnnouncement.id)).all()
        tiers = signed_log(session).policy(clock.timestamp()).tiers if waiting else {}
    names = {slug: tier.name for slug, tier in tiers.items()}
    queued = 0
    for each in waiting:
        news = PlainNews(id=each.id, title=each.title, text=each.text, tier_names=names)
        concerned = frozenset(each.tiers) if each.tiers else None
        letter = _news_letter(news, place)
        queued += _queue(sessions, Event(f"announcement:{each.id}", concerned, letter))
        with sessions() as session, transaction(session):
            session.get_one(PlainAnnouncement, each.id).mailed_at = clock.now()
    return queued


def _news_letter(news: PlainNews, place: Place) -> Callable[[Reader], Message]:
    return lambda reader: mails.about_news(news, reader, place)


# ---- what all of them share ----


def _queue(sessions: Sessions, event: Event) -> int:
    """Queue an event's mails, some readers at a time; returns how many."""
    after: str | None = ""
    queued = 0
    while after is not None:
        with sessions() as session:
            batch = list_readers(session, event.tiers, after=after)
            letters = {reader.user_id: event.letter(reader) for reader in batch.readers}
            if letters:
                with transaction(session):
                    queue_mails(session, letters, event=event.name)
        after, queued = batch.next_after, queued + len(letters)
    return queued
