from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.ids import new_id
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column

EMAIL_MAX = 320


class User(Base):
    """A person. Without a password hash nobody can sign in as them yet.

    Whoever deleted their account leaves the row as a tombstone: the id, and words in place of the address.
    """

    __tablename__ = "users"

    id: Mapped[PublicId]
    email: Mapped[str] = mapped_column(String(EMAIL_MAX))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    email_confirmed_at: Mapped[UtcDateTime | None]
    is_admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[CreatedAt]
    deleted_at: Mapped[UtcDateTime | None]

    __table_args__ = (
        Index("uq_users_email", func.lower(email), unique=True),
        Index(
            "ix_users_deleted",
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
    )


class UserSession(Base):
    """One signed-in browser. The cookie holds the person and a random value; only its digest is stored.

    `id` names the row on the person's page. `ip` is where the browser was last seen, at `seen_at`.
    `proven_at`: when the person last proved here that it is them, by signing in or when asked again.
    """

    __tablename__ = "user_sessions"
    __table_args__ = (
        Index(
            "ix_user_sessions_address",
            "seen_at",
            sqlite_where=text("ip IS NOT NULL"),
            postgresql_where=text("ip IS NOT NULL"),
        ),
    )

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True, default=lambda: new_id("ses"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[CreatedAt]
    seen_at: Mapped[CreatedAt]
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(200), default="")
    proven_at: Mapped[UtcDateTime | None]
    ended_at: Mapped[UtcDateTime | None]


class HalfSignIn(Base):
    """Between the password and the code. No session: it can do nothing but take a code, once."""

    __tablename__ = "half_sign_ins"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[CreatedAt]
    ended_at: Mapped[UtcDateTime | None]


class SecondFactor(Base):
    """The app that shows a person's codes. The row is there while the second factor is on.

    Turned off, it is deleted: the secret has no use any more but to a thief, and the journal keeps what
    happened. `last_step` is the 30-second step of the newest code that counted; none before it counts again.
    """

    __tablename__ = "second_factors"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    secret: Mapped[str] = mapped_column(String(200))  # encrypted, see portal.core.encryption
    confirmed_at: Mapped[UtcDateTime]
    last_step: Mapped[int] = mapped_column(BigInteger)


class RecoveryCode(Base):
    """A code that counts once in place of the app's. Only its digest is stored."""

    __tablename__ = "recovery_codes"
    __table_args__ = (UniqueConstraint("user_id", "digest"),)

    id: Mapped[PublicId]
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[CreatedAt]
    used_at: Mapped[UtcDateTime | None]


class LinkPurpose(StrEnum):
    CONFIRM_EMAIL = "confirm_email"
    SET_PASSWORD = "set_password"  # noqa: S105 -- a purpose, not a password
    RESET_PASSWORD = "reset_password"  # noqa: S105 -- another one


class MailLink(Base):
    """A single-use, short-lived link in a mail; only the token's digest is stored.

    `browser` is the digest of a random value in the cookie of the browser that asked: only there does the
    link also sign in, so that nobody can be signed in to an account of somebody else's making.
    `password_hash` waits for the confirmation, where somebody signs up with an address that another
    sign-up left unconfirmed: the password of whoever holds the mailbox is the one that counts.
    """

    __tablename__ = "mail_links"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    purpose: Mapped[LinkPurpose] = mapped_column(enum_column(LinkPurpose))
    browser: Mapped[str | None] = mapped_column(String(64))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[UtcDateTime]
    used_at: Mapped[UtcDateTime | None]


class ResetRequest(Base):
    """Somebody asked to reset the password of an address, whether or not anybody has it.

    A job answers it and deletes the row: so the page that takes it cannot tell by its time what it does not
    know itself.
    """

    __tablename__ = "reset_requests"

    id: Mapped[PublicId]
    email: Mapped[str] = mapped_column(String(EMAIL_MAX))
    ip: Mapped[str | None] = mapped_column(String(45))
    created_at: Mapped[CreatedAt]


class KnownDevice(Base):
    """A browser that a person has signed in with before. Its cookie holds the value, here is the digest."""

    __tablename__ = "known_devices"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[CreatedAt]


class EmailChange(Base):
    """A change of address under way: it counts once both addresses have said yes.

    `old_digest` is None where the old address was never confirmed: then the new one alone says it.
    """

    __tablename__ = "email_changes"

    id: Mapped[PublicId]
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    email: Mapped[str] = mapped_column(String(EMAIL_MAX))
    old_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    new_digest: Mapped[str] = mapped_column(String(64), unique=True)
    old_confirmed_at: Mapped[UtcDateTime | None]
    new_confirmed_at: Mapped[UtcDateTime | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[UtcDateTime]
    ended_at: Mapped[UtcDateTime | None]
