from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId, UtcDateTime


class Change(Base):
    """A published change: what its entry in the log leaves out. All else is read from the log.

    `log discard` takes unsigned entries away, and with them what was published by them.
    """

    __tablename__ = "changes"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    entry_seq: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("log_entries.seq", ondelete="CASCADE"), unique=True
    )
    created_by: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[CreatedAt]


class ChangeWords(Base):
    """The reason of a change in words, one row a version; the log holds its title and SHA-256.

    `version` is 1 at publishing and grows with each amendment.
    """

    __tablename__ = "change_words"

    number: Mapped[int] = mapped_column(
        ForeignKey("changes.number", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(Text)
    entry_seq: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("log_entries.seq", ondelete="CASCADE"), unique=True
    )


class NoticeWords(Base):
    """Why the notice policy was changed, in words; the log holds the SHA-256 (`policy.changed`)."""

    __tablename__ = "notice_words"

    entry_seq: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("log_entries.seq", ondelete="CASCADE"), primary_key=True
    )
    reason: Mapped[str] = mapped_column(Text)


class ChangeDraft(Base):
    """A change that is being written: the fields of a change file as they were typed.

    `base_size` is the log's size that the rows were last looked at against: what moved since is
    shown before anything is published.
    """

    __tablename__ = "change_drafts"

    id: Mapped[PublicId]
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    base_size: Mapped[int] = mapped_column(BigInteger)
    created_by: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UtcDateTime]
    published_as: Mapped[int | None] = mapped_column(
        ForeignKey("changes.number", ondelete="SET NULL")
    )
    discarded_at: Mapped[UtcDateTime | None]


# The holds that the product itself places; whatever else places one names it as it likes.
STAFF_HOLD = "staff"
NOT_DELIVERED = "notice_not_delivered"
# Many organisations asked for a decision; only the job that placed it lifts it, once there is one.
ATTENTION = "feedback"


class ChangeHold(Base):
    """A named reason for which a change is held; the log sees the first, and the end of the last."""

    __tablename__ = "change_holds"
    __table_args__ = (
        Index(
            "uq_change_holds_number_name",
            "number",
            "name",
            unique=True,
            sqlite_where=text("lifted_at IS NULL"),
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )

    id: Mapped[PublicId]
    number: Mapped[int] = mapped_column(ForeignKey("changes.number", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(String(200))
    placed_by: Mapped[str | None] = mapped_column(String(40))
    placed_at: Mapped[CreatedAt]
    lifted_at: Mapped[UtcDateTime | None]


class PlainAnnouncement(Base):
    """News without limits (`ann_…`): no number, no entry in the log. `tiers` [] = everyone."""

    __tablename__ = "announcements"

    id: Mapped[PublicId]
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    tiers: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_by: Mapped[str | None] = mapped_column(String(40))
    published_at: Mapped[CreatedAt]
    mailed_at: Mapped[UtcDateTime | None]
    withdrawn_at: Mapped[UtcDateTime | None]


class Subscription(Base):
    """That a person is mailed what concerns a tier, or (`tier` None) all of them.

    The unsubscribe link (RFC 8058) carries the id, signed; the row holds no secret.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(
            "uq_subscriptions_user_tier",
            "user_id",
            text("coalesce(tier, '')"),
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[PublicId]
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    tier: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[CreatedAt]
    ended_at: Mapped[UtcDateTime | None]


class ChangelogRead(Base):
    """Up to where a person has read the changelog: what was published later is marked unread."""

    __tablename__ = "changelog_reads"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    read_at: Mapped[UtcDateTime]


class MailProgress(Base):
    """The one row that says how far readers were told: what lies behind it is never looked at again.

    `size` entries of the log were mailed, the reminders up to `reminded_until` (Unix seconds) were
    sent, and what was due up to `delivery_until` was counted for the delivery of its notices.
    """

    __tablename__ = "mail_progress"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    reminded_until: Mapped[int] = mapped_column(BigInteger, default=0)
    delivery_until: Mapped[int] = mapped_column(BigInteger, default=0)
