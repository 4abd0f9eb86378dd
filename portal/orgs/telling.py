"""Telling people by mail what happened to an organisation's members."""

from collections.abc import Callable, Collection

from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core.actor import Actor
from portal.core.ids import new_id
from portal.core.outbox import Message, queue_mail
from portal.orgs.queries import owners


def tell(
    session: Session,
    *,
    actor: Actor,
    org_id: str,
    message: Callable[[str], Message],
    also: Collection[User] = (),
    event: str | None = None,
) -> None:
    """Mail the owners, and `also` these, but not who did it; `message` builds it for an address."""
    event = event or new_id("evt")
    people = {user.id: user for user in (*owners(session, org_id), *also)}
    for user in people.values():
        if user.id != actor.user_id:
            queue_mail(session, message(user.email), event=event, person=user.id)
