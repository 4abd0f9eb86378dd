"""A forgotten password: asked for on a page that knows nothing, answered by a job that nobody can time."""

from dataclasses import replace

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.accounts import mails
from portal.accounts.commands import (
    end_changes,
    end_links,
    end_sessions,
    make_link,
    themselves,
    use_link,
)
from portal.accounts.devices import forget_devices
from portal.accounts.models import LinkPurpose, ResetRequest, User
from portal.accounts.policy import PASSWORD_LINKS
from portal.accounts.queries import find_user_by_email, get_user
from portal.core.actor import Actor
from portal.core.ids import new_id
from portal.core.outbox import queue_mail
from portal.core.secrets import digest
from portal.journal.commands import record


def ask_reset(session: Session, *, actor: Actor, email: str) -> None:
    """Somebody has forgotten the password of an address: the same row, whether or not anybody has it."""
    session.add(ResetRequest(id=new_id("rst"), email=email, ip=actor.ip))


def next_reset(session: Session) -> str | None:
    """The id of the request that waits longest."""
    query = select(ResetRequest.id).order_by(ResetRequest.created_at, ResetRequest.id)
    return session.scalar(query.limit(1))


def answer_reset(session: Session, *, actor: Actor, request_id: str, url: str) -> None:
    """Mail the person a link that sets a new password once; a stranger's address gets nothing.

    Links that were sent before end: the newest mail is the one that counts.
    """
    query = select(ResetRequest).where(ResetRequest.id == request_id)
    request = session.scalar(query.with_for_update(skip_locked=True))
    if request is None:  # another process was faster
        return
    session.execute(delete(ResetRequest).where(ResetRequest.id == request_id))
    found = find_user_by_email(session, request.email)
    if found is None:
        return
    user = get_user(session, found.id)
    end_links(session, user_id=user.id)
    token = make_link(session, user=user, purpose=LinkPurpose.RESET_PASSWORD)
    message = mails.reset_password(to=user.email, link=f"{url}/set-password/{token}")
    queue_mail(session, message, event=f"reset:{digest(token)}", person=user.id)
    asking = replace(actor, ip=request.ip)
    record(session, asking, "user:password:reset_asked", subject_id=user.id)


def set_password(
    session: Session, *, actor: Actor, token: str, password_hash: str, url: str
) -> User:
    """Set the password by a single-use link; whatever somebody else may have begun at the account ends.

    That is every session, every other link, and a change of address. Raises LinkUsedOrOver.
    """
    link, user = use_link(session, token, *PASSWORD_LINKS)
    user.password_hash = password_hash
    user.email_confirmed_at = user.email_confirmed_at or link.used_at
    end_sessions(session, user_id=user.id)
    end_links(session, user_id=user.id)
    end_changes(session, user_id=user.id)
    forget_devices(session, user_id=user.id)
    record(session, themselves(actor, user), "user:password:set", subject_id=user.id)
    message = mails.password_set(to=user.email, url=url)
    queue_mail(session, message, event=f"password_set:{link.digest}", person=user.id)
    return user
