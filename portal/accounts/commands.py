from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts import mails
from portal.accounts.errors import AlreadyConfirmed, AskedElsewhere, PersonExists
from portal.accounts.models import (
    EmailChange,
    HalfSignIn,
    LinkPurpose,
    MailLink,
    User,
    UserSession,
)
from portal.accounts.policy import LINK_LASTS, PASSWORD_LINKS, must_be_usable
from portal.accounts.queries import find_link, get_user, is_contested
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.ids import new_id
from portal.core.outbox import queue_mail
from portal.core.secrets import digest, link_token
from portal.journal.commands import record


@dataclass(frozen=True)
class Origin:
    """Where a sign-up comes from: the browser's random value, and the portal's own address for links."""

    browser: str
    url: str


@dataclass(frozen=True)
class Confirmed:
    """Who confirmed, and whether in the browser that asked."""

    user: User
    same_browser: bool


def create_person(session: Session, *, actor: Actor, email: str, password_hash: str | None) -> User:
    """Add a person whose address is not confirmed yet. Raises PersonExists."""
    user = User(id=new_id("usr"), email=email, password_hash=password_hash)
    session.add(user)
    try:
        session.flush()  # the unique index decides between two sign-ups at once
    except IntegrityError as error:
        if violates(error, "uq_users_email"):
            raise PersonExists from error
        raise
    record(session, themselves(actor, user), "user:account:created", subject_id=user.id)
    return user


def make_admin(session: Session, *, actor: Actor, user: User) -> None:
    """Make the person one of the provider's staff; the operator vouches for the address.

    Not for whoever signed up with it and never proved that it is theirs: their password and their
    sessions end here.
    """
    user.is_admin = True
    if user.email_confirmed_at is None:
        prove_address(session, user=user, at=clock.now())
        user.password_hash = None
        end_sessions(session, user_id=user.id)
    record(session, actor, "user:admin:made", subject_id=user.id)


def themselves(actor: Actor, user: User) -> Actor:
    """Nobody is signed in while signing up: the journal names who the person is from now on."""
    return actor if actor.name else replace(actor, user_id=user.id, name=user.email)


def make_link(
    session: Session,
    *,
    user: User,
    purpose: LinkPurpose,
    browser: str | None = None,
    password_hash: str | None = None,
) -> str:
    """A single-use link's token; only its digest is kept."""
    token = link_token()
    session.add(
        MailLink(
            digest=digest(token),
            user_id=user.id,
            purpose=purpose,
            browser=digest(browser) if browser else None,
            password_hash=password_hash,
            expires_at=clock.now() + LINK_LASTS[purpose],
        )
    )
    return token


def mail_confirmation(
    session: Session, *, user: User, browser: str, url: str, password_hash: str | None = None
) -> None:
    """Mail the link that confirms the address; `url` is the portal's. Part of an act, without an event."""
    token = make_link(
        session,
        user=user,
        purpose=LinkPurpose.CONFIRM_EMAIL,
        browser=browser,
        password_hash=password_hash,
    )
    message = mails.confirm_email(to=user.email, link=f"{url}/confirm/{token}")
    queue_mail(session, message, event=f"confirm:{digest(token)}", person=user.id)


def send_confirmation(
    session: Session, *, actor: Actor, user: User, browser: str, url: str
) -> None:
    """Mail a new link to a person who asks for one. Raises AlreadyConfirmed."""
    if user.email_confirmed_at:
        raise AlreadyConfirmed
    mail_confirmation(session, user=user, browser=browser, url=url)
    record(session, actor, "user:confirmation:sent", subject_id=user.id)


def greet_known_address(
    session: Session, *, actor: Actor, user: User, password_hash: str, origin: Origin
) -> None:
    """Somebody signs up with an address that is known: tell its owner, and them alone.

    While it is unconfirmed the new password waits for the confirmation, so that a stranger who was
    here first keeps nothing.
    """
    if user.email_confirmed_at is None:
        mail_confirmation(
            session,
            user=user,
            browser=origin.browser,
            url=origin.url,
            password_hash=password_hash,
        )
    else:
        message = mails.already_signed_up(to=user.email, sign_in_url=f"{origin.url}/login")
        queue_mail(session, message, event=new_id("evt"), person=user.id)
    record(session, actor, "user:sign_up:repeated", subject_id=user.id)


def confirm_email(session: Session, *, actor: Actor, token: str, browser: str | None) -> Confirmed:
    """Confirm the address that the link was sent to.

    Where a second browser asked, too, a link counts only in its own: else whoever holds the mailbox
    could take a stranger's mail for theirs, and with it the stranger's password.
    Raises LinkUsedOrOver, AskedElsewhere.
    """
    link, user = use_link(session, token, LinkPurpose.CONFIRM_EMAIL)
    now = clock.now()
    same = link.browser is not None and browser is not None and digest(browser) == link.browser
    if user.email_confirmed_at is None:
        if not same and is_contested(session, link):
            raise AskedElsewhere
        prove_address(session, user=user, at=now)
        if link.password_hash:
            user.password_hash = link.password_hash
            end_sessions(session, user_id=user.id)
    record(session, themselves(actor, user), "user:email:confirmed", subject_id=user.id)
    return Confirmed(user=user, same_browser=same)


def prove_address(session: Session, *, user: User, at: datetime) -> None:
    """The address of a locked person is proved from now on.

    Until then it need not have agreed to a change of itself: what a stranger, who was at the account
    before, has under way would take it away from whoever proved it.
    """
    user.email_confirmed_at = at
    end_changes(session, user_id=user.id)


def use_link(session: Session, token: str, *purposes: LinkPurpose) -> tuple[MailLink, User]:
    """A mailed link, used from now on, and whose it is. Raises LinkUsedOrOver."""
    now = clock.now()
    found = find_link(session, token, for_update=True)
    link = must_be_usable(found, *purposes, at=now)
    link.used_at = now
    return link, get_user(session, link.user_id)


def end_links(session: Session, *, user_id: str) -> None:
    """Let no link that was mailed to a person set their password any more."""
    open_ones = update(MailLink).where(
        MailLink.user_id == user_id,
        MailLink.purpose.in_(PASSWORD_LINKS),
        MailLink.used_at.is_(None),
    )
    session.execute(open_ones.values(used_at=clock.now()))


def end_changes(session: Session, *, user_id: str) -> int:
    """End what changes of address a locked person has under way; says how many."""
    query = select(EmailChange).where(
        EmailChange.user_id == user_id, EmailChange.ended_at.is_(None)
    )
    found = session.scalars(query.with_for_update()).all()
    for change in found:
        change.ended_at = clock.now()
    return len(found)


def start_session(session: Session, *, actor: Actor, user: User, user_agent: str) -> str:
    """A new session row; returns the random id for the cookie."""
    session_id = link_token()
    session.add(
        UserSession(
            digest=digest(session_id),
            user_id=user.id,
            ip=actor.ip,
            user_agent=user_agent[:200],
            proven_at=clock.now(),
        )
    )
    record(session, actor, "user:session:started", subject_id=user.id)
    return session_id


def begin_sign_in(session: Session, *, actor: Actor, user: User) -> str:
    """The password was right, the code is to come; returns the random id for the cookie."""
    token = link_token()
    session.add(HalfSignIn(digest=digest(token), user_id=user.id))
    record(session, actor, "user:sign_in:begun", subject_id=user.id)
    return token


def signing_in(actor: Actor, user: User) -> Actor:
    """Who signs in: not known to the request yet, but to the journal."""
    return replace(actor, user_id=user.id, name=user.email, is_admin=user.is_admin)


def prove_session(session: Session, *, actor: Actor, session_id: str) -> bool:
    """The person has proved again that it is them; False where the session has ended meanwhile."""
    row = session.get(UserSession, digest(session_id), with_for_update=True)
    if row is None or row.ended_at:
        return False
    row.proven_at = clock.now()
    record(session, actor, "user:session:proven", subject_id=row.user_id)
    return True


def end_session(session: Session, *, actor: Actor, session_id: str) -> None:
    """End one session; ending it twice is no error."""
    row = session.get(UserSession, digest(session_id), with_for_update=True)
    if row is None or row.ended_at:
        return
    row.ended_at = clock.now()
    record(session, actor, "user:session:ended", subject_id=row.user_id)


def end_sessions(session: Session, *, user_id: str) -> None:
    """End every session of one locked person, and every sign-in that is half-way."""
    live = select(UserSession).where(UserSession.user_id == user_id, UserSession.ended_at.is_(None))
    for row in session.scalars(live):
        row.ended_at = clock.now()
    end_half_sign_ins(session, user_id=user_id)


def end_half_sign_ins(session: Session, *, user_id: str) -> None:
    """End what waits for a code of one locked person."""
    half = select(HalfSignIn).where(HalfSignIn.user_id == user_id, HalfSignIn.ended_at.is_(None))
    for row in session.scalars(half):
        row.ended_at = clock.now()
