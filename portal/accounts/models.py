from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column

EMAIL_MAX = 320


class User(Base):
    """A person. Without a password hash nobody can sign in as them yet."""

    __tablename__ = "users"

    id: Mapped[PublicId]
    email: Mapped[str] = mapped_column(String(EMAIL_MAX))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    email_confirmed_at: Mapped[UtcDateTime | None]
    is_admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[CreatedAt]

    __table_args__ = (Index("uq_users_email", func.lower(email), unique=True),)


class UserSession(Base):
    """One signed-in browser. The cookie holds the person and the random id; only its digest is stored.

    `proven_at`: when the person last proved here that it is them, by signing in or when asked again.
    """

    __tablename__ = "user_sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[CreatedAt]
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
