from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import MailLink, User, UserSession
from portal.accounts.policy import SESSION_LASTS
from portal.core import clock
from portal.core.errors import NotFound
from portal.core.secrets import digest


def find_user_by_email(session: Session, email: str) -> User | None:
    """The person with this address, in whatever case it is written."""
    return session.scalar(select(User).where(func.lower(User.email) == email.lower()))


def find_session_user(session: Session, *, user_id: str, session_id: str) -> User | None:
    """The person whose live session this is."""
    return session.scalar(
        select(User)
        .join(UserSession, UserSession.user_id == User.id)
        .where(
            User.id == user_id,
            UserSession.digest == digest(session_id),
            UserSession.ended_at.is_(None),
            UserSession.created_at > clock.now() - SESSION_LASTS,
        )
    )


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
    """A person, locked. Raises NotFound."""
    user = session.scalar(select(User).where(User.id == user_id).with_for_update())
    if user is None:
        raise NotFound
    return user


def has_admin(session: Session) -> bool:
    """Whether the provider has any staff yet."""
    return session.scalar(select(User.id).where(User.is_admin).limit(1)) is not None
