"""A change of address: the old one and the new one both have to say yes."""

from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts import mails
from portal.accounts.commands import end_changes, end_links, end_sessions
from portal.accounts.errors import AddressTaken, LinkUsedOrOver, SameAddress
from portal.accounts.models import EmailChange, User
from portal.accounts.policy import EMAIL_CHANGE_LASTS
from portal.accounts.queries import find_user_by_email, get_user
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.ids import new_id
from portal.core.outbox import queue_mail
from portal.core.secrets import digest, link_token
from portal.journal.commands import record
from portal.journal.queries import list_events_about

CHANGED = "user:email:changed"


@dataclass(frozen=True)
class Side:
    """A change as one of the two links opens it."""

    change: EmailChange
    is_old: bool

    @property
    def is_confirmed(self) -> bool:
        said = self.change.old_confirmed_at if self.is_old else self.change.new_confirmed_at
        return said is not None


def find_change(session: Session, user_id: str) -> EmailChange | None:
    """The change that a person has under way."""
    return session.scalar(
        select(EmailChange).where(
            EmailChange.user_id == user_id,
            EmailChange.ended_at.is_(None),
            EmailChange.expires_at > clock.now(),
        )
    )


def get_side(session: Session, token: str, *, for_update: bool = False) -> Side:
    """What a mailed link is about. Raises LinkUsedOrOver."""
    found = digest(token)
    query = select(EmailChange).where(
        or_(EmailChange.old_digest == found, EmailChange.new_digest == found),
        EmailChange.ended_at.is_(None),
        EmailChange.expires_at > clock.now(),
    )
    change = session.scalar(query.with_for_update() if for_update else query)
    if change is None:
        raise LinkUsedOrOver
    return Side(change, is_old=change.old_digest == found)


def list_proved_addresses(session: Session, user: User) -> set[str]:
    """The addresses that a person has or had, without those that they never proved to be theirs."""
    found = {user.email} if user.email_confirmed_at else set()
    for event in list_events_about(session, user.id, tag=CHANGED):
        told = event.told
        found.add(told.get("new_email", ""))
        if told.get("old_was_proved"):
            found.add(told.get("old_email", ""))
    return found - {""}


def start_change(session: Session, *, actor: Actor, user: User, email: str, url: str) -> None:
    """Mail a link to both addresses of a locked person; one that is under way ends. Raises SameAddress.

    Whether the new address is somebody's already is told to its owner, and to nobody else. Where the old
    one was never confirmed, nobody need read there, and the new one alone says yes.
    """
    if email == user.email:
        raise SameAddress
    end_changes(session, user_id=user.id)
    old, new, needs_old = link_token(), link_token(), user.email_confirmed_at is not None
    change = EmailChange(
        id=new_id("emc"),
        user_id=user.id,
        email=email,
        old_digest=digest(old) if needs_old else None,
        new_digest=digest(new),
        expires_at=clock.now() + EMAIL_CHANGE_LASTS,
    )
    session.add(change)
    owner = find_user_by_email(session, email)
    # Whose mail it is decides who sees it among their own data, and when it is erased.
    person, to_new = (
        user,
        mails.confirm_new_address(to=email, link=f"{url}/email-change/{new}", both=needs_old),
    )
    if owner is not None and owner.id != user.id:
        person, to_new = owner, mails.address_in_use(to=email, sign_in_url=f"{url}/login")
    queue_mail(session, to_new, event=f"{change.id}:new", person=person.id)
    if needs_old:
        to_old = mails.confirm_old_address(
            to=user.email, new=email, link=f"{url}/email-change/{old}"
        )
        queue_mail(session, to_old, event=change.id, person=user.id)
    record(session, actor, "user:email:change_asked", subject_id=user.id, new_email=email)


def confirm_side(session: Session, *, actor: Actor, token: str) -> bool:
    """Say yes for one address; True where that was the last that was missing, and the address is changed.

    Raises LinkUsedOrOver, AddressTaken (somebody signed up with it meanwhile).
    """
    user, side = _lock(session, token)
    now, change = clock.now(), side.change
    if side.is_old:
        change.old_confirmed_at = change.old_confirmed_at or now
    else:
        change.new_confirmed_at = change.new_confirmed_at or now
    which = "old" if side.is_old else "new"
    record(session, actor, "user:email:change_confirmed", subject_id=user.id, which=which)
    waits = change.old_digest is not None and change.old_confirmed_at is None
    if waits or change.new_confirmed_at is None:
        return False
    _change(session, actor=actor, user=user, change=change)
    return True


def _change(session: Session, *, actor: Actor, user: User, change: EmailChange) -> None:
    old, now = user.email, clock.now()
    change.ended_at = now
    user.email, user.email_confirmed_at = change.email, now
    try:
        session.flush()  # the unique index decides between this and a sign-up at once
    except IntegrityError as error:
        if violates(error, "uq_users_email"):
            raise AddressTaken from error
        raise
    end_links(
        session, user_id=user.id
    )  # one that lies in the old mailbox must not open the account
    was_proved = change.old_digest is not None
    told = {"old_email": old, "new_email": user.email}
    record(session, actor, CHANGED, subject_id=user.id, old_was_proved=was_proved, **told)
    message = mails.address_changed(to=old, new=user.email)
    queue_mail(session, message, event=f"{change.id}:done", person=user.id)


def refuse_change(session: Session, *, actor: Actor, token: str) -> bool:
    """Stop a change by one of its links. Raises LinkUsedOrOver.

    True where the old address says so: then somebody else was at the account, and every session ends.
    """
    user, side = _lock(session, token)
    side.change.ended_at = clock.now()
    if side.is_old:
        end_sessions(session, user_id=user.id)
    which = "old" if side.is_old else "new"
    record(session, actor, "user:email:change_refused", subject_id=user.id, which=which)
    return side.is_old


def cancel_change(session: Session, *, actor: Actor, user: User) -> None:
    """Stop the change that a locked person has under way; without one nothing happens."""
    if end_changes(session, user_id=user.id):
        record(session, actor, "user:email:change_cancelled", subject_id=user.id)


def _lock(session: Session, token: str) -> tuple[User, Side]:
    # The person first, as everybody does who changes something of theirs.
    user = get_user(session, get_side(session, token).change.user_id)
    return user, get_side(session, token, for_update=True)
