"""Who wants to be told, and who must be."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.changelog.models import Subscription
from portal.core.errors import NotFound
from portal.core.secrets import sign, unsign

PURPOSE = "unsubscribe"
# A link that ends more than these would not fit the column that keeps it.
IDS_MAX = 10


def list_subscriptions(session: Session, user_id: str) -> list[Subscription]:
    """A person's live subscriptions, oldest first."""
    return list(
        session.scalars(
            select(Subscription)
            .where(Subscription.user_id == user_id, Subscription.ended_at.is_(None))
            .order_by(Subscription.id)
        )
    )


def get_subscription(session: Session, *, user_id: str, subscription_id: str) -> Subscription:
    """A person's own subscription, locked. Raises NotFound."""
    found = session.scalar(
        select(Subscription)
        .where(Subscription.id == subscription_id, Subscription.user_id == user_id)
        .with_for_update()
    )
    if found is None:
        raise NotFound
    return found


def unsubscribe_token(ids: Collection[str], *, key: str) -> str:
    """What an unsubscribe link carries: the subscriptions that brought the mail, signed.

    It works for as long as the mail is kept, and gives no other right than to end them.
    """
    return sign("-".join(sorted(ids)[:IDS_MAX]), key=key, purpose=PURPOSE)


def get_by_token(
    session: Session, token: str, *, key: str, for_update: bool = False
) -> Sequence[Subscription]:
    """The subscriptions that a link is about, ended or not. Raises NotFound."""
    ids = (unsign(token, key=key, purpose=PURPOSE) or "").split("-")
    query = select(Subscription).where(Subscription.id.in_(ids)).order_by(Subscription.id)
    found = session.scalars(query.with_for_update() if for_update else query).all()
    if not found:
        raise NotFound
    return found
