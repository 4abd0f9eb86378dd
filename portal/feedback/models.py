from datetime import date
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column

TITLE_MAX = 120
WORD_MAX = 32


class Kind(StrEnum):
    QUESTION = "question"
    PROBLEM = "problem"
    REQUEST = "request"
    REPLY = "reply"  # to a change


class Category(StrEnum):
    LIMITS = "limits"
    MODELS = "models"
    KEYS = "keys"
    GATEWAYS = "gateways"
    PORTAL = "portal"
    DOCS = "docs"
    OTHER = "other"


class Visibility(StrEnum):
    PUBLIC = "public"
    PRIVATE = "private"  # the organisation and the staff


class State(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    UNDER_REVIEW = "under_review"
    DECIDED = "decided"
    DELIVERED = "delivered"
    CLOSED = "closed"  # by its author


class Outcome(StrEnum):
    ADOPTED = "adopted"
    PARTLY = "partly"
    NOT_ADOPTED = "not_adopted"
    DEFERRED = "deferred"


class ModerationAct(StrEnum):
    HIDE = "hide"
    RESTORE = "restore"
    LOCK = "lock"
    KEEP = "keep"  # what was reported stays


def _sorted_indexes() -> list[Index]:
    """An index for each order of the list, alone and behind each filter.

    With 200,000 threads a page is 25 steps along one of them, wherever the cursor stands; what else
    is asked for is looked at on the way.
    """
    return [
        Index("_".join(["ix_threads", *columns]), *columns)
        for first in ((), ("state",), ("kind",), ("category",))
        for order in (("number",), ("active_at", "number"), ("votes", "number"))
        if (columns := (*first, *order)) != ("number",)
    ]


_OPENED_BY_PORTAL = text("author_id IS NULL AND change IS NOT NULL")


class Thread(Base):
    """A thread of the board. `number` is in its address.

    `author_id` None: opened by the portal, about an announced change. `org_id`: the organisation that it
    was opened for; None = staff or portal. `votes` and `replies` are counted under the thread's lock.
    `locked_for` is the decision (`dec_…`) or the moderation record (`mod_…`) that a lock rests on, and
    `decision_id` what a decided thread rests on: the database takes neither without.
    """

    __tablename__ = "threads"
    __table_args__ = (
        CheckConstraint("visibility = 'public' OR org_id IS NOT NULL", name="private_has_org"),
        CheckConstraint("(locked_at IS NULL) = (locked_for IS NULL)", name="lock_has_record"),
        CheckConstraint(
            "state NOT IN ('decided', 'delivered') OR decision_id IS NOT NULL",
            name="decided_has_decision",
        ),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_instant"),
        Index(
            "uq_threads_change",
            "change",
            unique=True,
            sqlite_where=_OPENED_BY_PORTAL,
            postgresql_where=_OPENED_BY_PORTAL,
        ),
        Index("ix_threads_change_number", "change", "number"),
        Index("ix_threads_author_id_number", "author_id", "number"),
        Index("ix_threads_org_id_number", "org_id", "number"),
        Index("ix_threads_decision_due_at", "decision_due_at"),
        *_sorted_indexes(),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    kind: Mapped[Kind] = mapped_column(enum_column(Kind))
    title: Mapped[str] = mapped_column(String(TITLE_MAX))
    category: Mapped[Category] = mapped_column(enum_column(Category))
    author_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    org_id: Mapped[str | None] = mapped_column(ForeignKey("orgs.id"))
    visibility: Mapped[Visibility] = mapped_column(
        enum_column(Visibility), default=Visibility.PUBLIC
    )
    change: Mapped[int | None]
    tier: Mapped[str | None] = mapped_column(String(40))
    model: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[State] = mapped_column(enum_column(State), default=State.OPEN)
    answer_due_at: Mapped[UtcDateTime | None]
    decision_due_at: Mapped[UtcDateTime | None]
    first_answer_at: Mapped[UtcDateTime | None]
    acknowledged_at: Mapped[UtcDateTime | None]
    review_started_at: Mapped[UtcDateTime | None]
    decided_at: Mapped[UtcDateTime | None]
    decision_id: Mapped[str | None] = mapped_column(String(40))
    delivered_at: Mapped[UtcDateTime | None]
    closed_at: Mapped[UtcDateTime | None]
    locked_at: Mapped[UtcDateTime | None]
    locked_for: Mapped[str | None] = mapped_column(String(40))
    hidden_at: Mapped[UtcDateTime | None]  # with its opening post
    created_at: Mapped[CreatedAt] = mapped_column(index=True)
    active_at: Mapped[UtcDateTime]
    votes: Mapped[int] = mapped_column(default=0)
    replies: Mapped[int] = mapped_column(default=0)

    @property
    def is_private(self) -> bool:
        return self.visibility is Visibility.PRIVATE


class ThreadWord(Base):
    """A word that stands in a thread's title or in a post that can be read: what the search looks up."""

    __tablename__ = "thread_words"
    __table_args__ = ({"sqlite_with_rowid": False},)

    word: Mapped[str] = mapped_column(String(WORD_MAX), primary_key=True)
    number: Mapped[int] = mapped_column(
        ForeignKey("threads.number"), primary_key=True, autoincrement=False, index=True
    )


_NOT_TOLD = text("told_at IS NULL")
_OFFICIAL_NOT_TOLD = text("is_official AND told_at IS NULL")


class Post(Base):
    """A post. `position` 0 opens the thread, replies count on from there.

    `author_id` None: written by the portal. `org_id`: the organisation spoken for; None = staff or portal.
    `is_staff`: written as staff. `is_official`: an answer of the provider, marked and pinned. Posts stand
    one after the other; `answers_id` only names the one that a reply is about. `told_at`: when those
    concerned were told of an official answer.
    """

    __tablename__ = "posts"
    __table_args__ = (
        UniqueConstraint("thread_id", "position"),
        CheckConstraint("(hidden_at IS NULL) = (hidden_reason IS NULL)", name="hidden_has_reason"),
        Index("ix_posts_author_id", "author_id", "id"),
        Index(
            "ix_posts_told_at",
            "told_at",
            sqlite_where=_OFFICIAL_NOT_TOLD,
            postgresql_where=_OFFICIAL_NOT_TOLD,
        ),
    )

    id: Mapped[PublicId]
    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"))
    position: Mapped[int]
    author_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    org_id: Mapped[str | None] = mapped_column(ForeignKey("orgs.id"))
    answers_id: Mapped[str | None] = mapped_column(ForeignKey("posts.id"))
    is_staff: Mapped[bool] = mapped_column(default=False)
    is_official: Mapped[bool] = mapped_column(default=False)
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
    edited_at: Mapped[UtcDateTime | None]
    hidden_at: Mapped[UtcDateTime | None]
    hidden_by: Mapped[str | None] = mapped_column(String(40))
    hidden_reason: Mapped[str | None] = mapped_column(String(500))
    told_at: Mapped[UtcDateTime | None]


class PostEdit(Base):
    """The text of a post before an edit. `told_at` None: those concerned are still to be told."""

    __tablename__ = "post_edits"
    __table_args__ = (
        Index(
            "ix_post_edits_told_at",
            "told_at",
            sqlite_where=_NOT_TOLD,
            postgresql_where=_NOT_TOLD,
        ),
    )

    id: Mapped[PublicId]
    post_id: Mapped[str] = mapped_column(ForeignKey("posts.id"), index=True)
    old_text: Mapped[str] = mapped_column(Text)
    edited_by: Mapped[str | None] = mapped_column(String(40))
    edited_at: Mapped[CreatedAt]
    told_at: Mapped[UtcDateTime | None]


class Vote(Base):
    """One person's vote for a thread, counted for an organisation. Withdrawn, the row stays."""

    __tablename__ = "votes"
    __table_args__ = (Index("ix_votes_user_id", "user_id", "created_at"),)

    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    org_id: Mapped[str | None] = mapped_column(ForeignKey("orgs.id"))
    created_at: Mapped[CreatedAt]
    withdrawn_at: Mapped[UtcDateTime | None]


class Follow(Base):
    """That a person wants to hear of a thread."""

    __tablename__ = "follows"
    __table_args__ = (Index("ix_follows_user_id", "user_id", "created_at"),)

    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    created_at: Mapped[CreatedAt]
    ended_at: Mapped[UtcDateTime | None]


_UNSETTLED = text("settled_at IS NULL")


class Report(Base):
    """That a person finds a post out of place; a moderator's record settles it."""

    __tablename__ = "reports"
    __table_args__ = (
        Index(
            "uq_reports_post_id_user_id",
            "post_id",
            "user_id",
            unique=True,
            sqlite_where=_UNSETTLED,
            postgresql_where=_UNSETTLED,
        ),
        Index("ix_reports_settled_at", "settled_at"),
    )

    id: Mapped[PublicId]
    post_id: Mapped[str] = mapped_column(ForeignKey("posts.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[CreatedAt]
    settled_at: Mapped[UtcDateTime | None]
    settled_for: Mapped[str | None] = mapped_column(ForeignKey("moderation_records.id"))


class ModerationRecord(Base):
    """What a moderator did to a post, or to a whole thread (`post_id` None), and why."""

    __tablename__ = "moderation_records"

    id: Mapped[PublicId]
    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"), index=True)
    post_id: Mapped[str | None] = mapped_column(ForeignKey("posts.id"))
    act: Mapped[ModerationAct] = mapped_column(enum_column(ModerationAct))
    reason: Mapped[str] = mapped_column(String(500))
    moderated_by: Mapped[str | None] = mapped_column(String(40))
    moderated_at: Mapped[CreatedAt]


class InternalNote(Base):
    """A note about a thread that only staff read."""

    __tablename__ = "internal_notes"

    id: Mapped[PublicId]
    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"), index=True)
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt]


_IN_FORCE = text("superseded_at IS NULL")


class Decision(Base):
    """What was decided about a thread, and why. A later one supersedes it; none is ever changed.

    `until_on`: until when it is deferred. `change`: the change that comes of it. `told_at`: when everyone
    concerned had a message queued.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        CheckConstraint(
            "(outcome = 'deferred') = (until_on IS NOT NULL)", name="deferred_has_date"
        ),
        CheckConstraint("length(reason) > 0", name="has_reason"),
        Index(
            "uq_decisions_thread_id",
            "thread_id",
            unique=True,
            sqlite_where=_IN_FORCE,
            postgresql_where=_IN_FORCE,
        ),
        Index(
            "ix_decisions_told_at",
            "told_at",
            sqlite_where=_NOT_TOLD,
            postgresql_where=_NOT_TOLD,
        ),
        Index("ix_decisions_decided_at", "decided_at"),
    )

    id: Mapped[PublicId]
    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"), index=True)
    outcome: Mapped[Outcome] = mapped_column(enum_column(Outcome))
    until_on: Mapped[date | None] = mapped_column(Date)
    reason: Mapped[str] = mapped_column(Text)
    weighed: Mapped[str] = mapped_column(Text, default="")
    review_on: Mapped[date | None] = mapped_column(Date)
    change: Mapped[int | None]
    decided_by: Mapped[str | None] = mapped_column(String(40))
    decided_at: Mapped[CreatedAt]
    entry_seq: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("log_entries.seq", ondelete="SET NULL"), unique=True
    )
    superseded_at: Mapped[UtcDateTime | None]
    superseded_by: Mapped[str | None] = mapped_column(String(40))
    told_at: Mapped[UtcDateTime | None]


class ThreadChange(Base):
    """That a change answers a thread: its reason names the thread. `post_id`: where the thread says so."""

    __tablename__ = "thread_changes"

    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"), primary_key=True)
    change: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, index=True)
    post_id: Mapped[str | None] = mapped_column(ForeignKey("posts.id"))
    linked_at: Mapped[CreatedAt]


class AttentionHold(Base):
    """That a thread put a hold on its change; `orgs` as counted when it was placed."""

    __tablename__ = "attention_holds"

    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"), primary_key=True)
    change: Mapped[int]
    orgs: Mapped[int]
    placed_at: Mapped[CreatedAt]
    lifted_at: Mapped[UtcDateTime | None]


class ClockReminder(Base):
    """That the staff were told of a clock that runs out, or has: once each."""

    __tablename__ = "clock_reminders"

    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    told_at: Mapped[CreatedAt]


class FeedbackProgress(Base):
    """The one row that says how many entries of the log the board has read."""

    __tablename__ = "feedback_progress"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger, default=0)
