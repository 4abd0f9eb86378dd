from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import (
    HalfSignIn,
    MailLink,
    RecoveryCode,
    SecondFactor,
    User,
    UserSession,
)
from portal.accounts.policy import HALF_SIGN_IN_LASTS, SESSION_LASTS
from portal.core import clock
from portal.core.errors import NotFound
from portal.core.secrets import digest


def find_user_by_email(session: Session, email: str) -> User | None:
    """The person with this address, in whatever case it is written."""
    return session.scalar(select(User).where(func.lower(User.email) == email.lower()))


@dataclass(frozen=True)
class LiveSession:
    """A live session: whose it is, and what they have proved."""

    user: User
    proven_at: datetime | None
    has_second_factor: bool
    seen_at: datetime


def find_session(session: Session, *, user_id: str, session_id: str) -> LiveSession | None:
    """The live session of this person and random id."""
    found = session.execute(
        select(User, UserSession.proven_at, SecondFactor.user_id, UserSession.seen_at)
        .join(UserSession, UserSession.user_id == User.id)
        .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
        .where(
            User.id == user_id,
            UserSession.digest == digest(session_id),
            UserSession.ended_at.is_(None),
            UserSession.created_at > clock.now() - SESSION_LASTS,
        )
    ).first()
    if found is None:
        return None
    user, proven_at, factor, seen_at = found
    return LiveSession(user, proven_at, factor is not None, seen_at)


def find_half_sign_in(
    session: Session, token: str, *, for_update: bool = False
) -> HalfSignIn | None:
    """A sign-in that waits for its code, if it still may go on."""
    query = select(HalfSignIn).where(
        HalfSignIn.digest == digest(token),
        HalfSignIn.ended_at.is_(None),
        HalfSignIn.created_at > clock.now() - HALF_SIGN_IN_LASTS,
    )
    return session.scalar(query.with_for_update() if for_update else query)


def find_factor(session: Session, user_id: str, *, for_update: bool = False) -> SecondFactor | None:
    """A person's second factor, where it is on."""
    query = select(SecondFactor).where(SecondFactor.user_id == user_id)
    return session.scalar(query.with_for_update() if for_update else query)


def has_second_factor(session: Session, user_id: str) -> bool:
    """Whether a person's second factor is on."""
    return find_factor(session, user_id) is not None


def count_recovery_codes(session: Session, user_id: str) -> int:
    """How many of a person's recovery codes still count."""
    unused = select(func.count()).where(
        RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None)
    )
    return session.scalar(unused) or 0


def find_link(session: Session, token: str, *, for_update: bool = False) -> MailLink | None:
    """The link of a token."""
    query = select(MailLink).where(MailLink.digest == digest(token))
    return session.scalar(query.with_for_update() if for_update else query)


def is_contested(session: Session, link: MailLink) -> bool:
    """Whether another browser, too, has a link under way that would confirm the same address."""
    others = select(MailLink.digest).where(
        MailLink.user_id == link.user_id,
        MailLink.purpose == link.purpose,
        MailLink.browser != link.browser,
        MailLink.used_at.is_(None),
        MailLink.expires_at > clock.now(),
    )
    return session.scalar(others.limit(1)) is not None


def get_user(session: Session, user_id: str | None) -> User:
    """A person, locked, and as they are then: the caller may have looked before. Raises NotFound."""
    query = select(User).where(User.id == user_id).with_for_update()
    user = session.scalar(query.execution_options(populate_existing=True))
    if user is None:
        raise NotFound
    return user


def has_admin(session: Session) -> bool:
    """Whether the provider has any staff yet."""
    return session.scalar(select(User.id).where(User.is_admin).limit(1)) is not None
