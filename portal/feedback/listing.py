"""The list of threads: filtered, searched, sorted, by cursor; and what is similar to a title."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.errors import Invalid
from portal.core.paging import Order, Page, fetch_page
from portal.feedback.models import Category, Kind, State, Thread
from portal.feedback.policy import CATEGORIES, KINDS, STATES
from portal.feedback.queries import followed_by, own_votes, threads_of, visible, voted_by
from portal.feedback.search import narrowed, rank
from portal.feedback.words import words_of
from portal.orgs.models import Org

THREADS_A_PAGE = 25
SIMILAR_MAX = 5
# Some of those that rank high may not be for the reader to see.
SIMILAR_LOOKED_AT = 40


@dataclass(frozen=True)
class Sort:
    label: str
    order: Order


SORTS = {
    "active": Sort("Last written to", Order(Thread.active_at, Thread.number)),
    "newest": Sort("Newest", Order(Thread.number)),
    "votes": Sort("Most votes", Order(Thread.votes, Thread.number)),
}
MINE: dict[str, tuple[str, Callable[[Actor], Select[Thread]]]] = {
    "threads": ("Opened by you", threads_of),
    "votes": ("Voted for", voted_by),
    "follows": ("Followed", followed_by),
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What of the board is asked for; None and "" mean any."""

    search: str = ""
    state: State | None = None
    kind: Kind | None = None
    category: Category | None = None
    change: int | None = None
    sort: str = "active"

    @property
    def is_empty(self) -> bool:
        return self == Asked(sort=self.sort)


@dataclass(frozen=True)
class Line:
    """A thread in the list."""

    number: int
    title: str
    kind: str
    category: str
    state: State
    state_name: str
    is_private: bool
    is_hidden: bool
    votes: int
    replies: int
    created_at: datetime
    active_at: datetime
    change: int | None
    org: str
    has_own_vote: bool

    @property
    def path(self) -> str:
        return f"/feedback/{self.number}"


def list_threads(
    session: Session, actor: Actor, *, asked: Asked, cursor: str | None = None
) -> Page[Line]:
    """A page of the threads that the actor may see. Raises BadCursor, Invalid (q)."""
    query = select(Thread).where(visible(session, actor))
    for column, value in (
        (Thread.state, asked.state),
        (Thread.kind, asked.kind),
        (Thread.category, asked.category),
        (Thread.change, asked.change),
    ):
        if value is not None:
            query = query.where(column == value)
    if asked.search:
        words = words_of(asked.search)
        if not words:
            raise Invalid("Search for a word that says more: these stand in every text.", field="q")
        query = narrowed(session, query, words)
    order = SORTS[asked.sort].order
    return _lines(
        session, actor, fetch_page(session, query, order=order, cursor=cursor, size=THREADS_A_PAGE)
    )


def list_mine(
    session: Session, actor: Actor, *, show: str, cursor: str | None = None
) -> Page[Line]:
    """A page of the threads that the actor opened, votes for or follows, newest first."""
    _, chosen = MINE[show]
    query = chosen(actor).where(visible(session, actor))
    order = SORTS["newest"].order
    return _lines(
        session, actor, fetch_page(session, query, order=order, cursor=cursor, size=THREADS_A_PAGE)
    )


def list_similar(session: Session, actor: Actor, title: str) -> list[Line]:
    """The threads that share most with a title, the nearest first."""
    numbers = rank(session, words_of(title), size=SIMILAR_LOOKED_AT)
    query = select(Thread).where(Thread.number.in_(numbers), visible(session, actor))
    found = {thread.number: thread for thread in session.scalars(query)} if numbers else {}
    nearest = [found[number] for number in numbers if number in found]
    return _lines(session, actor, Page(nearest[:SIMILAR_MAX])).items


def _lines(session: Session, actor: Actor, page: Page[Thread]) -> Page[Line]:
    voted = own_votes(session, actor, [thread.id for thread in page.items])
    names = org_names(session, {thread.org_id for thread in page.items})

    def line(thread: Thread) -> Line:
        return Line(
            number=thread.number,
            title=thread.title,
            kind=KINDS[thread.kind],
            category=CATEGORIES[thread.category],
            state=thread.state,
            state_name=STATES[thread.state],
            is_private=thread.is_private,
            is_hidden=thread.hidden_at is not None,
            votes=thread.votes,
            replies=thread.replies,
            created_at=thread.created_at,
            active_at=thread.active_at,
            change=thread.change,
            org=names.get(thread.org_id, "our staff"),
            has_own_vote=thread.id in voted,
        )

    return page.map(line)


def org_names(session: Session, ids: set[str | None]) -> dict[str | None, str]:
    """The names of some organisations by id."""
    wanted = [each for each in ids if each is not None]
    if not wanted:
        return {}
    rows = session.execute(select(Org.id, Org.name).where(Org.id.in_(wanted)))
    return dict(rows.all())
