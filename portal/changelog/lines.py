"""One line of the changelog: a change or plain news, as lists, feeds and pages name it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from plimsoll.contract.announcement import Announcement, ChangeClass
from plimsoll.contract.history import ChangeInLog, State
from plimsoll.contract.limits import ALL_MODELS
from portal.changelog.models import PlainAnnouncement

EVERYONE = "*"


@dataclass(frozen=True)
class ChangeLine:
    """A change at the instant of the page. Instants are Unix seconds.

    `tiers` and `models` are the slugs that it touches; "*" stands for all of them. `updated_at` is
    the instant of its newest entry.
    """

    number: int
    title: str
    change_class: ChangeClass
    state: State
    announced_at: int
    updated_at: int
    effective_at: int
    expires_at: int | None
    tiers: frozenset[str]
    models: frozenset[str]
    held_at: int | None
    withdrawn_at: int | None
    replaced_by: int | None

    kind = "change"

    @property
    def heading(self) -> str:
        return f"Change {self.number}: {self.title}"

    @property
    def path(self) -> str:
        return f"/changelog/{self.number}"

    @property
    def order(self) -> tuple[float, str]:
        """Its place in the list: by publication, which numbers follow."""
        return self.announced_at, f"{self.number:012}"

    @property
    def is_upcoming(self) -> bool:
        """Whether something of it still lies ahead: its start, its release or its end."""
        ends_ahead = self.state is State.EFFECTIVE and self.expires_at is not None
        return self.state in {State.ANNOUNCED, State.HELD} or ends_ahead

    def touches(self, *, tiers: Collection[str] = (), models: Collection[str] = ()) -> bool:
        """Whether it touches one of these tiers and one of these models; none given means any."""
        return _meets(self.tiers, tiers) and _meets(self.models, models)


@dataclass(frozen=True)
class NewsLine:
    """A plain announcement: no number, nothing in the log. `published_at` in Unix seconds."""

    id: str
    title: str
    text: str
    published_at: int
    published_exactly: datetime
    withdrawn_at: datetime | None
    tiers: frozenset[str]

    kind = "news"

    @property
    def heading(self) -> str:
        return self.title

    @property
    def path(self) -> str:
        return f"/changelog/{self.id}"

    @property
    def order(self) -> tuple[float, str]:
        return self.published_exactly.timestamp(), self.id

    def touches(self, *, tiers: Collection[str] = (), models: Collection[str] = ()) -> bool:
        """News name tiers at most: whoever asks for a model asks for changes."""
        return not models and _meets(self.tiers, tiers)


def change_line(change: ChangeInLog, *, at: int) -> ChangeLine:
    """The line of a change as a reader of Unix second `at` is told it."""
    announced = change.announcement
    return ChangeLine(
        number=change.number,
        title=change.title,
        change_class=announced.change_class,
        state=change.state(at),
        announced_at=change.announced_at,
        updated_at=max([change.announced_at, *(step.at for step in change.steps)]),
        effective_at=change.effective_at,
        expires_at=change.expires_at,
        tiers=_tiers(announced),
        models=_models(announced),
        held_at=change.held_at,
        withdrawn_at=change.withdrawn_at,
        replaced_by=change.replaced_by,
    )


def news_line(news: PlainAnnouncement) -> NewsLine:
    """The line of a plain announcement."""
    return NewsLine(
        id=news.id,
        title=news.title,
        text=news.text,
        published_at=int(news.published_at.astimezone(UTC).timestamp()),
        published_exactly=news.published_at,
        withdrawn_at=news.withdrawn_at,
        tiers=frozenset(news.tiers) or frozenset({EVERYONE}),
    )


def _tiers(announced: Announcement) -> frozenset[str]:
    named = {
        *(row.cell.tier for row in announced.rows),
        *(offer.tier for offer in announced.offers),
        *(tier.slug for tier in announced.tiers),
        *announced.counting["reserve"],
    }
    # How a metric counts holds in every tier, and a model's name stands in all that offer it.
    everywhere = announced.counting["texts"] or not named
    return frozenset({EVERYONE} if everywhere else named)


def _models(announced: Announcement) -> frozenset[str]:
    named = {
        *(row.cell.model for row in announced.rows),
        *(offer.model for offer in announced.offers),
        *(model.slug for model in announced.models),
    }
    beyond = announced.tiers or announced.counting["texts"] or announced.counting["reserve"]
    return frozenset({*named, ALL_MODELS} if beyond else named)


def _meets(touched: frozenset[str], asked: Collection[str]) -> bool:
    return not asked or EVERYONE in touched or not touched.isdisjoint(asked)
