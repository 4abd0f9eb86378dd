"""The changelog as Atom (RFC 4287) and JSON Feed 1.1. No clock is in them: same entries, same bytes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.fold import Policy
from plimsoll.contract.history import ChangeInLog, Status
from portal.changelog.announcements import list_announcements
from portal.changelog.change_list import last_policy, manner, names
from portal.changelog.diff import diff_of
from portal.changelog.life import reason_in_words
from portal.changelog.lines import NewsLine, change_line, news_line
from portal.changelog.models import ChangeWords
from portal.changelog.prose import render
from portal.changelog.timeline import effect
from portal.transparency.queries import SignedLog, signed_log
from portal.web.atom import AtomHead, atom_document, tag_uri
from portal.web.filters import instant, iso

JSON_FEED = "https://jsonfeed.org/version/1.1"
TITLE = "Plimsoll: changes of the published limits"
SUBTITLE = "Each change of the limits before it takes effect, and plain announcements."
ITEMS_MAX = 50
SENTENCES_MAX = 20


@dataclass(frozen=True)
class FeedItem:
    """An entry of the feeds. `tag` never changes; `updated` moves with each entry of the log."""

    tag: str
    path: str
    title: str
    summary: str
    content: Markup
    published: int
    updated: int
    categories: tuple[str, ...]
    extra: Mapping[str, Any]


@dataclass(frozen=True)
class Feed:
    """What both feeds are made from. `url` is the portal's, without a slash at the end."""

    url: str
    tag: str
    updated: int
    items: tuple[FeedItem, ...]


def get_feed(session: Session, *, url: str) -> Feed:
    """The changes and news that moved last, newest first."""
    log = signed_log(session)
    moved = sorted(log.history.changes.values(), key=_updated_at, reverse=True)[:ITEMS_MAX]
    newest = (
        select(ChangeWords.number, ChangeWords.version, ChangeWords.reason)
        .where(ChangeWords.number.in_([change.number for change in moved]))
        .order_by(ChangeWords.number, ChangeWords.version)
    )
    reasons = {(number, version): reason for number, version, reason in session.execute(newest)}
    authority = authority_of(log, url)
    changes = [
        _change_item(
            log, change, reasons.get((change.number, len(change.wordings))), authority=authority
        )
        for change in moved
    ]
    policy = last_policy(log)
    news = [_news_item(news_line(each), policy, authority) for each in list_announcements(session)]
    items = sorted([*changes, *news], key=lambda item: (item.updated, item.tag), reverse=True)
    opened = log.entries[0]["at"] if log.entries else 0
    return Feed(
        url=url,
        tag=tag_uri(authority, opened, "changelog"),
        updated=max([opened, *(item.updated for item in items)]),
        items=tuple(items[:ITEMS_MAX]),
    )


def atom(feed: Feed) -> bytes:
    """The feed as an Atom document."""
    head = AtomHead(
        url=feed.url,
        tag=feed.tag,
        title=TITLE,
        subtitle=SUBTITLE,
        updated=feed.updated,
        self_path="/changelog.atom",
        page_path="/changelog",
    )
    return atom_document(head, feed.items)


def json_feed(feed: Feed) -> bytes:
    """The feed as a JSON Feed 1.1 document."""
    document = {
        "version": JSON_FEED,
        "title": TITLE,
        "description": SUBTITLE,
        "home_page_url": f"{feed.url}/changelog",
        "feed_url": f"{feed.url}/changelog.json",
        "language": "en",
        "authors": [{"name": "Plimsoll", "url": feed.url}],
        "items": [
            {
                "id": item.tag,
                "url": feed.url + item.path,
                "title": item.title,
                "summary": item.summary,
                "content_html": str(item.content),
                "date_published": iso(item.published),
                "date_modified": iso(item.updated),
                "tags": list(item.categories),
                "_plimsoll": item.extra,
            }
            for item in feed.items
        ],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _change_item(
    log: SignedLog, change: ChangeInLog, reason: str | None, *, authority: str
) -> FeedItem:
    # The state that time alone brings is left out: a feed does not change because a day passed.
    line, does = change_line(change, at=change.announced_at), effect(log, change.number)
    diff, kind = diff_of(does), manner(line, is_retirement=does.is_retirement)
    summary = f"{diff.direction}, for {names(does.after, line.tiers)}. {_when(change)}"
    return FeedItem(
        tag=tag_uri(authority, change.announced_at, change.announcement.id),
        path=line.path,
        title=line.heading,
        summary=summary,
        content=_content(summary, diff.sentences, reason),
        published=line.announced_at,
        updated=line.updated_at,
        categories=tuple(filter(None, [diff.direction_code, kind, *sorted(line.tiers - {"*"})])),
        extra={
            "change": change.number,
            "status": change.status.value,
            "direction": diff.direction_code,
            "effective_at": iso(change.effective_at) if _has_instant(change) else None,
            "expires_at": iso(change.expires_at) if change.expires_at is not None else None,
        },
    )


def _news_item(line: NewsLine, policy: Policy, authority: str) -> FeedItem:
    published = line.published_at
    withdrawn = line.withdrawn_at
    said = f"An announcement for {names(policy, line.tiers)}."
    if withdrawn:
        said = f"{said} Withdrawn at {instant(withdrawn)}."
    return FeedItem(
        tag=tag_uri(authority, published, line.id),
        path=line.path,
        title=line.title,
        summary=said,
        content=_content(said, (), line.text),
        published=published,
        updated=max(published, int(withdrawn.timestamp()) if withdrawn else 0),
        categories=("announcement", *sorted(line.tiers - {"*"})),
        extra={"announcement": line.id},
    )


def _when(change: ChangeInLog) -> str:
    """When it takes effect, told without today's date."""
    until = "" if change.expires_at is None else f" until {instant(change.expires_at)}"
    if change.status is Status.WITHDRAWN:
        reason = reason_in_words(change.withdraw_reason or "")
        return f"Withdrawn at {instant(change.withdrawn_at or 0)}: {reason}"
    if change.status is Status.HELD:
        reason = reason_in_words(change.hold_reason or "")
        return f"Held since {instant(change.held_at or 0)}, without an instant: {reason}"
    return f"In force from {instant(change.effective_at)}{until}."


def _content(summary: str, sentences: Iterable[str], reason: str | None) -> Markup:
    told = list(sentences)
    shown = told[:SENTENCES_MAX]
    if len(told) > len(shown):
        shown.append(f"and {len(told) - len(shown):,} more")
    items = Markup("").join(Markup("<li>{}</li>").format(each) for each in shown)
    listed = Markup("<ul>{}</ul>").format(items) if shown else Markup("")
    return Markup("<p>{}</p>").format(summary) + listed + (render(reason) if reason else "")


def _has_instant(change: ChangeInLog) -> bool:
    return change.status is Status.ANNOUNCED


def _updated_at(change: ChangeInLog) -> tuple[int, int]:
    return max([change.announced_at, *(step.at for step in change.steps)]), change.number


def authority_of(log: SignedLog, url: str) -> str:
    """The host that names are given under: the log's, which stays when the portal moves."""
    origin = log.entries[0]["body"]["origin"] if log.entries else urlsplit(url).netloc
    return urlsplit(f"//{origin}").hostname or "localhost"
