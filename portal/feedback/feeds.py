"""The public board as Atom: what was opened last, and one thread with its posts."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.changelog.feeds import authority_of
from portal.core.actor import Actor
from portal.core.errors import NotFound
from portal.feedback.models import Post, Thread
from portal.feedback.policy import CATEGORIES, KINDS
from portal.feedback.queries import get_thread, visible
from portal.feedback.shown import PostShown, show_across, show_posts
from portal.transparency.queries import signed_log
from portal.web.atom import AtomHead, atom_document, tag_uri

ITEMS_MAX = 50
SUBTITLE = "Questions, problems and requests of developers, and what became of them."
NOBODY = Actor()


@dataclass(frozen=True)
class Item:
    """A thread or a post as an entry."""

    tag: str
    path: str
    title: str
    summary: str
    content: Markup
    published: int
    updated: int
    categories: tuple[str, ...] = ()


def board_atom(session: Session, *, url: str) -> bytes:
    """The public threads that were opened last, each with its opening post."""
    query = (
        select(Thread, Post)
        .join(Post, Post.thread_id == Thread.id)
        .where(visible(session, NOBODY), Post.position == 0)
        .order_by(Thread.number.desc())
        .limit(ITEMS_MAX)
    )
    authority, opened = _origin(session, url)
    rows = [(thread, post) for thread, post in session.execute(query)]
    shown = show_across(session, NOBODY, rows)
    items = [
        _thread_item(thread, post, authority) for (thread, _), post in zip(rows, shown, strict=True)
    ]
    head = AtomHead(
        url=url,
        tag=tag_uri(authority, opened, "feedback"),
        title="Plimsoll: feedback",
        subtitle=SUBTITLE,
        updated=max([opened, *(item.updated for item in items)]),
        self_path="/feedback.atom",
        page_path="/feedback",
    )
    return atom_document(head, items)


def thread_atom(session: Session, number: int, *, url: str) -> bytes:
    """The newest posts of a public thread. Raises NotFound, ThreadHidden."""
    thread = get_thread(session, NOBODY, number)
    query = select(Post).where(Post.thread_id == thread.id, Post.hidden_at.is_(None))
    posts = list(session.scalars(query.order_by(Post.position.desc()).limit(ITEMS_MAX)))
    if not posts:
        raise NotFound
    authority, _ = _origin(session, url)
    shown = show_posts(session, NOBODY, thread=thread, posts=posts)
    items = [_post_item(thread, post, authority) for post in shown]
    head = AtomHead(
        url=url,
        tag=tag_uri(authority, int(thread.created_at.timestamp()), thread.id),
        title=f"Plimsoll: {thread.title}",
        subtitle=f"{KINDS[thread.kind]}, {CATEGORIES[thread.category]}",
        updated=max(item.updated for item in items),
        self_path=f"/feedback/{number}.atom",
        page_path=f"/feedback/{number}",
    )
    return atom_document(head, items)


def _origin(session: Session, url: str) -> tuple[str, int]:
    """The host that names are given under, and since when."""
    log = signed_log(session)
    return authority_of(log, url), log.entries[0]["at"] if log.entries else 0


def _thread_item(thread: Thread, post: PostShown, authority: str) -> Item:
    published = int(thread.created_at.timestamp())
    return Item(
        tag=tag_uri(authority, published, thread.id),
        path=f"/feedback/{thread.number}",
        title=thread.title,
        summary=f"{KINDS[thread.kind]}, opened by {post.author}.",
        content=post.html or Markup(""),
        published=published,
        updated=max(published, _updated(post)),
        categories=(thread.kind.value, thread.category.value),
    )


def _post_item(thread: Thread, post: PostShown, authority: str) -> Item:
    published = int(post.created_at.timestamp())
    title = thread.title if post.position == 0 else f"#{post.position} by {post.author}"
    return Item(
        tag=tag_uri(authority, published, post.id),
        path=post.path,
        title=title,
        summary=f"{post.author} in {thread.title}.",
        content=post.html or Markup(""),
        published=published,
        updated=_updated(post),
    )


def _updated(post: PostShown) -> int:
    return int((post.edited_at or post.created_at).timestamp())
