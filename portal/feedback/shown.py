"""What the page of a thread shows, and to whom."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.changelog.prose import render
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Forbidden
from portal.core.paging import Page
from portal.feedback.clocks import Clock, clocks_of
from portal.feedback.listing import org_names
from portal.feedback.models import (
    AttentionHold,
    Decision,
    InternalNote,
    ModerationAct,
    ModerationRecord,
    Post,
    Thread,
    ThreadChange,
)
from portal.feedback.policy import CATEGORIES, CLOSABLE, KINDS, STATES, may_edit, takes_posts
from portal.feedback.queries import (
    get_voice,
    is_following,
    list_official,
    list_posts,
    opening_post,
    own_votes,
)
from portal.orgs.models import Membership
from portal.transparency.queries import policy

# A text of 10,000 brackets takes a tenth of a second to read; the same text is read once.
_rendered = functools.lru_cache(maxsize=512)(render)


@dataclass(frozen=True)
class PostShown:
    """A post as the reader sees it. `html` None: hidden, and not theirs to read."""

    id: str
    number: int
    position: int
    author: str
    address: str | None
    is_staff: bool
    is_official: bool
    is_own: bool
    html: Markup | None
    created_at: datetime
    edited_at: datetime | None
    hidden_at: datetime | None
    hidden_reason: str | None
    answers: "tuple[str, int] | None"
    may_edit: bool
    may_report: bool
    may_answer: bool
    may_hide: bool

    @property
    def path(self) -> str:
        """The permalink."""
        return f"/feedback/{self.number}/posts/{self.id}"


@dataclass(frozen=True)
class DecisionShown:
    decision: Decision
    reason: Markup
    weighed: Markup


@dataclass(frozen=True)
class NoteShown:
    author: str
    html: Markup
    created_at: datetime


@dataclass(frozen=True)
class RecordShown:
    """What a moderator did, for the staff."""

    id: str
    act: ModerationAct
    post_id: str | None
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True)
class ThreadPage:
    thread: Thread
    kind: str
    category: str
    state: str
    org: str | None
    tier: str | None
    model: str | None
    opening: PostShown
    official: list[PostShown]
    posts: Page[PostShown]
    decisions: list[DecisionShown]
    clocks: tuple[Clock, ...]
    answered_by: list[int]
    holds_change: bool
    takes_posts: bool
    refusal: str | None
    has_own_vote: bool
    may_vote: bool
    is_following: bool
    may_close: bool
    is_staff: bool
    notes: list[NoteShown]
    records: list[RecordShown]

    @property
    def path(self) -> str:
        return f"/feedback/{self.thread.number}"


def get_thread_page(
    session: Session, actor: Actor, thread: Thread, *, cursor: str | None = None
) -> ThreadPage:
    """All that one reader sees of a thread. Raises BadCursor."""
    posts, first = list_posts(session, thread, cursor=cursor), opening_post(session, thread)
    official = list_official(session, thread)
    shower = _Shower(session, actor, [first, *official, *posts.items])
    show = functools.partial(shower, thread)
    decisions = _decisions(session, thread)
    refusal = _refusal(session, actor, thread)
    takes = takes_posts(thread)
    tiers, models = names_in_force(session)
    return ThreadPage(
        thread=thread,
        kind=KINDS[thread.kind],
        category=CATEGORIES[thread.category],
        state=STATES[thread.state],
        org=org_names(session, {thread.org_id}).get(thread.org_id),
        tier=tiers.get(thread.tier, thread.tier) if thread.tier else None,
        model=models.get(thread.model, thread.model) if thread.model else None,
        opening=show(first),
        official=[show(post) for post in official],
        posts=posts.map(show),
        decisions=decisions,
        clocks=clocks_of(thread, [each.decision for each in reversed(decisions)], at=clock.now()),
        answered_by=_changes(session, thread),
        holds_change=_holds_change(session, thread),
        takes_posts=takes,
        refusal=refusal,
        has_own_vote=thread.id in own_votes(session, actor, [thread.id]),
        may_vote=takes and refusal is None and not actor.is_admin,
        is_following=is_following(session, actor, thread),
        may_close=takes and _is_own(actor, thread) and thread.state in CLOSABLE,
        is_staff=actor.is_admin,
        notes=_notes(session, thread) if actor.is_admin else [],
        records=_records(session, thread) if actor.is_admin else [],
    )


def show_post(session: Session, actor: Actor, *, thread: Thread, post: Post) -> PostShown:
    """One post as the reader sees it."""
    (shown,) = show_posts(session, actor, thread=thread, posts=[post])
    return shown


def show_posts(
    session: Session, actor: Actor, *, thread: Thread, posts: Sequence[Post]
) -> list[PostShown]:
    """Some posts of a thread as the reader sees them."""
    return show_across(session, actor, [(thread, post) for post in posts])


def show_across(
    session: Session, actor: Actor, posts: Sequence[tuple[Thread, Post]]
) -> list[PostShown]:
    """Posts of several threads as the reader sees them, asked for together."""
    show = _Shower(session, actor, [post for _, post in posts])
    return [show(thread, post) for thread, post in posts]


def show_text(text: str) -> Markup:
    """A text as HTML for a page."""
    return _rendered(text)


def names_in_force(session: Session) -> tuple[dict[str, str], dict[str, str]]:
    """The names of the tiers and models that the published policy has now, by slug."""
    now = policy(session, clock.timestamp())
    tiers = {slug: tier.name for slug, tier in now.tiers.items()}
    return tiers, {slug: model.name for slug, model in now.models.items()}


class _Shower:
    """Shows posts to one reader, with what is asked once for all of them."""

    def __init__(self, session: Session, actor: Actor, posts: Sequence[Post]) -> None:
        self.actor = actor
        self.orgs = org_names(session, {post.org_id for post in posts})
        self.addresses = _addresses(session, actor, posts)
        self.positions = _positions(session, posts)

    def __call__(self, thread: Thread, post: Post) -> PostShown:
        actor = self.actor
        is_own, is_open = _is_own(actor, post), takes_posts(thread) and post.hidden_at is None
        is_readable = post.hidden_at is None or is_own or actor.is_admin
        edits = may_edit(post, user_id=actor.user_id, is_staff=actor.is_admin)
        position = self.positions.get(post.answers_id or "")
        is_signed_in = actor.user_id is not None
        return PostShown(
            id=post.id,
            number=thread.number,
            position=post.position,
            author=self._author(post),
            address=self.addresses.get(post.author_id or ""),
            is_staff=post.is_staff,
            is_official=post.is_official,
            is_own=is_own,
            html=_rendered(post.text) if is_readable else None,
            created_at=post.created_at,
            edited_at=post.edited_at,
            hidden_at=post.hidden_at,
            hidden_reason=post.hidden_reason if is_readable else None,
            answers=None if position is None else (post.answers_id or "", position),
            may_edit=is_open and edits,
            may_report=is_signed_in and post.hidden_at is None and not is_own,
            may_answer=is_open and is_signed_in,
            may_hide=actor.is_admin and post.author_id is not None and not post.is_official,
        )

    def _author(self, post: Post) -> str:
        if post.author_id is None:
            return "The portal"
        return "Our staff" if post.is_staff else self.orgs.get(post.org_id, "A developer")


def _is_own(actor: Actor, row: Thread | Post) -> bool:
    return actor.user_id is not None and row.author_id == actor.user_id


def _addresses(session: Session, actor: Actor, posts: Sequence[Post]) -> dict[str, str]:
    """The addresses of authors by id: staff see all, members those who spoke for their organisation."""
    if actor.user_id is None:
        return {}
    mine = set(
        session.scalars(select(Membership.org_id).where(Membership.user_id == actor.user_id))
    )
    wanted = {post.author_id for post in posts if actor.is_admin or post.org_id in mine}
    query = select(User.id, User.email).where(User.id.in_(wanted - {None}))
    return dict(session.execute(query).all())


def _positions(session: Session, posts: Sequence[Post]) -> dict[str, int]:
    """Where the posts stand that these are about."""
    named = [post.answers_id for post in posts if post.answers_id]
    if not named:
        return {}
    rows = session.execute(select(Post.id, Post.position).where(Post.id.in_(named)))
    return dict(rows.all())


def _refusal(session: Session, actor: Actor, thread: Thread) -> str | None:
    """Why the reader cannot write here; None where they can."""
    try:
        get_voice(session, actor, thread)
    except Forbidden as error:
        return error.public
    return None


def _decisions(session: Session, thread: Thread) -> list[DecisionShown]:
    query = select(Decision).where(Decision.thread_id == thread.id).order_by(Decision.id.desc())
    return [
        DecisionShown(each, _rendered(each.reason), _rendered(each.weighed))
        for each in session.scalars(query)
    ]


def _changes(session: Session, thread: Thread) -> list[int]:
    """The changes that answer the thread."""
    query = select(ThreadChange.change).where(ThreadChange.thread_id == thread.id)
    return list(session.scalars(query.order_by(ThreadChange.change)))


def _holds_change(session: Session, thread: Thread) -> bool:
    hold = session.get(AttentionHold, thread.id)
    return hold is not None and hold.lifted_at is None


def _notes(session: Session, thread: Thread) -> list[NoteShown]:
    query = (
        select(InternalNote, User.email)
        .join(User, User.id == InternalNote.author_id)
        .where(InternalNote.thread_id == thread.id)
        .order_by(InternalNote.id)
    )
    return [
        NoteShown(email, _rendered(note.text), note.created_at)
        for note, email in session.execute(query)
    ]


def _records(session: Session, thread: Thread) -> list[RecordShown]:
    query = (
        select(ModerationRecord, User.email)
        .outerjoin(User, User.id == ModerationRecord.moderated_by)
        .where(ModerationRecord.thread_id == thread.id)
        .order_by(ModerationRecord.id)
    )
    return [
        RecordShown(row.id, row.act, row.post_id, row.reason, email or "", row.moderated_at)
        for row, email in session.execute(query)
    ]
