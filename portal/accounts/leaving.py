"""The end of an account: what names the person is erased, and the row stays as a tombstone with its id."""

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal.accounts import mails
from portal.accounts.address import list_proved_addresses
from portal.accounts.commands import end_sessions
from portal.accounts.models import (
    EmailChange,
    HalfSignIn,
    KnownDevice,
    MailLink,
    RecoveryCode,
    ResetRequest,
    SecondFactor,
    User,
    UserSession,
)
from portal.core import clock
from portal.core.actor import Actor
from portal.core.outbox import forget_mails, queue_mail
from portal.journal.commands import record
from portal.journal.erasing import forget_person

_SECRETS = (SecondFactor, RecoveryCode, MailLink, EmailChange, KnownDevice, HalfSignIn)
_FAREWELL = "account_deleted"
FAREWELL_LASTS = timedelta(days=30)  # longer than a mail is tried


def tombstone(user_id: str) -> str:
    """What stands in the place of the address. No address can be so written, so nobody can take it."""
    return f"deleted account {user_id}"


def nameless(actor: Actor) -> Actor:
    """Who deletes their account, as the journal keeps them: by the id alone."""
    return Actor(user_id=actor.user_id, via=actor.via)


def delete_account(session: Session, *, actor: Actor, user: User) -> set[str]:
    """Erase a locked person who is in no organisation any more, or acts by `nameless` in leaving them.

    The farewell is the last mail that goes to the address. Returns the addresses that were theirs. One
    that they never proved is not among them: it may be a stranger's, of whom nothing must be erased.
    """
    email, theirs = user.email, list_proved_addresses(session, user)
    end_sessions(session, user_id=user.id)
    seen = update(UserSession).where(UserSession.user_id == user.id)
    session.execute(seen.values(ip=None, user_agent=""))
    for kind in _SECRETS:
        session.execute(delete(kind).where(kind.user_id == user.id))
    session.execute(delete(ResetRequest).where(ResetRequest.email == email))
    user.email, user.password_hash, user.email_confirmed_at = tombstone(user.id), None, None
    user.is_admin, user.deleted_at = False, clock.now()
    forget_person(session, user_id=user.id, addresses=theirs)
    forget_mails(session, person=user.id, addresses=theirs, words=tombstone(user.id))
    farewell = mails.account_deleted(to=email)
    queue_mail(session, farewell, event=f"{_FAREWELL}:{user.id}", person=user.id)
    record(session, nameless(actor), "user:account:deleted", subject_id=user.id)
    return theirs


def list_farewells(session: Session) -> list[str]:
    """The events of the last mails to whoever deleted their account lately."""
    lately = User.deleted_at > clock.now() - FAREWELL_LASTS
    return [f"{_FAREWELL}:{user_id}" for user_id in session.scalars(select(User.id).where(lately))]
