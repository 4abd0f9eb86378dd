from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, or_, select, true
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core.actor import Actor
from portal.core.errors import NotFound
from portal.core.paging import Order, Page, cursor_after, fetch_page
from portal.feedback.errors import MayNotWrite, ThreadHidden
from portal.feedback.models import Follow, Post, PostEdit, Thread, Visibility, Vote
from portal.orgs.models import Membership, Org
from portal.orgs.policy import Permission, may

POST_ORDER = Order(Post.position, descending=False)
POSTS_A_PAGE = 50


@dataclass(frozen=True)
class Voice:
    """For whom somebody writes or votes: an organisation of theirs, or the provider's staff."""

    user_id: str
    org_id: str | None
    is_staff: bool


def get_voice(session: Session, actor: Actor, thread: Thread | None = None) -> Voice:
    """Whom the actor speaks for: staff, else the thread's organisation, else the first that they joined.

    Raises MayNotWrite without a confirmed address, or without a role that may write.
    """
    if actor.user_id is None:
        raise MayNotWrite("Sign in to write here.")
    if actor.is_admin:
        return Voice(actor.user_id, None, is_staff=True)
    user = session.get(User, actor.user_id)
    if user is None or user.email_confirmed_at is None:
        raise MayNotWrite("Confirm your address first: the link is in the mail that we sent you.")
    orgs = list_voices(session, actor)
    own = [org for org in orgs if thread is not None and org.id == thread.org_id]
    if thread is not None and thread.is_private:
        orgs = own
    if not orgs:
        raise MayNotWrite(
            "To write here you speak for an organisation, and your role does not allow it."
        )
    return Voice(actor.user_id, (own or orgs)[0].id, is_staff=False)


def list_voices(session: Session, actor: Actor) -> list[Org]:
    """The organisations that the actor may write for, oldest membership first."""
    rows = session.execute(
        select(Org, Membership.role)
        .join(Membership, Membership.org_id == Org.id)
        .where(Membership.user_id == actor.user_id)
        .order_by(Membership.created_at, Org.id)
    )
    return [org for org, role in rows if may(role, Permission.WRITE_FEEDBACK)]


def may_open(session: Session, actor: Actor) -> bool:
    """Whether to offer a thread of their own: not to members whose roles only read."""
    return actor.user_id is None or actor.is_admin or bool(list_voices(session, actor))


def visible(session: Session, actor: Actor) -> ColumnElement[bool]:
    """Which threads the actor may see: public ones, those of their organisations, staff all.

    A hidden thread is seen by staff and by whoever opened it.
    """
    if actor.is_admin:
        return true()
    if actor.user_id is None:
        return and_(Thread.visibility == Visibility.PUBLIC, Thread.hidden_at.is_(None))
    # Fetched, not joined: the list is walked in its order, and each thread compared with a few names.
    orgs = list(
        session.scalars(select(Membership.org_id).where(Membership.user_id == actor.user_id))
    )
    return and_(
        or_(Thread.visibility == Visibility.PUBLIC, Thread.org_id.in_(orgs)),
        or_(Thread.hidden_at.is_(None), Thread.author_id == actor.user_id),
    )


def get_thread(session: Session, actor: Actor, number: int, *, for_update: bool = False) -> Thread:
    """A thread that the actor may see. Raises NotFound for outsiders, ThreadHidden."""
    query = select(Thread).where(Thread.number == number)
    thread = session.scalar(query.with_for_update() if for_update else query)
    if thread is None:
        raise NotFound
    if thread.is_private and not _is_inside(session, actor, thread):
        raise NotFound
    if thread.hidden_at is not None and not (actor.is_admin or _is_author(actor, thread)):
        raise ThreadHidden
    return thread


def _is_inside(session: Session, actor: Actor, thread: Thread) -> bool:
    return actor.is_admin or (
        session.get(Membership, (thread.org_id, actor.user_id)) is not None
        if actor.user_id
        else False
    )


def _is_author(actor: Actor, row: Thread | Post) -> bool:
    return actor.user_id is not None and row.author_id == actor.user_id


def get_post(session: Session, thread: Thread, post_id: str, *, for_update: bool = False) -> Post:
    """A post of a thread that was loaded for the actor. Raises NotFound."""
    query = select(Post).where(Post.id == post_id, Post.thread_id == thread.id)
    post = session.scalar(query.with_for_update() if for_update else query)
    if post is None:
        raise NotFound
    return post


def opening_post(session: Session, thread: Thread) -> Post:
    query = select(Post).where(Post.thread_id == thread.id, Post.position == 0)
    return session.scalars(query).one()


def list_posts(session: Session, thread: Thread, *, cursor: str | None) -> Page[Post]:
    """A page of the replies, oldest first. Raises BadCursor."""
    query = select(Post).where(Post.thread_id == thread.id, Post.position > 0)
    return fetch_page(session, query, order=POST_ORDER, cursor=cursor, size=POSTS_A_PAGE)


def list_official(session: Session, thread: Thread) -> list[Post]:
    """The provider's official answers that can be read, newest first."""
    query = select(Post).where(
        Post.thread_id == thread.id, Post.is_official, Post.hidden_at.is_(None)
    )
    return list(session.scalars(query.order_by(Post.position.desc())))


def list_edits(session: Session, post: Post) -> list[PostEdit]:
    """The earlier texts of a post, newest first."""
    query = select(PostEdit).where(PostEdit.post_id == post.id).order_by(PostEdit.id.desc())
    return list(session.scalars(query))


def own_votes(session: Session, actor: Actor, threads: Collection[str]) -> set[str]:
    """Those of the threads (by id) that the actor votes for."""
    query = select(Vote.thread_id).where(
        Vote.user_id == actor.user_id, Vote.thread_id.in_(threads), Vote.withdrawn_at.is_(None)
    )
    return set(session.scalars(query)) if actor.user_id and threads else set()


def is_following(session: Session, actor: Actor, thread: Thread) -> bool:
    follow = session.get(Follow, (thread.id, actor.user_id)) if actor.user_id else None
    return follow is not None and follow.ended_at is None


def threads_of(actor: Actor) -> Select[Thread]:
    """The threads that the actor opened."""
    return select(Thread).where(Thread.author_id == actor.user_id)


def voted_by(actor: Actor) -> Select[Thread]:
    """The threads that the actor votes for."""
    mine = select(Vote.thread_id).where(Vote.user_id == actor.user_id, Vote.withdrawn_at.is_(None))
    return select(Thread).where(Thread.id.in_(mine))


def followed_by(actor: Actor) -> Select[Thread]:
    """The threads that the actor follows."""
    mine = select(Follow.thread_id).where(
        Follow.user_id == actor.user_id, Follow.ended_at.is_(None)
    )
    return select(Thread).where(Thread.id.in_(mine))


def find_post(session: Session, thread: Thread, post_id: str) -> Post | None:
    """A post of a thread that was loaded for the actor, where there is one of this name."""
    query = select(Post).where(Post.id == post_id, Post.thread_id == thread.id)
    return session.scalar(query) if post_id else None


def cursor_to(session: Session, thread: Thread, post: Post) -> str | None:
    """The cursor of the page of a thread that holds a post; None = the first."""
    page = max(post.position - 1, 0) // POSTS_A_PAGE
    if page == 0:
        return None
    query = select(Post).where(Post.thread_id == thread.id, Post.position == page * POSTS_A_PAGE)
    return cursor_after(POST_ORDER, session.scalars(query).one())
