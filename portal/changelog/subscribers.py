"""Who wants to be told, and who must be."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.changelog.models import Subscription
from portal.core.errors import NotFound
from portal.core.secrets import sign, unsign
from portal.orgs.models import Membership, Org, Role
from portal.tiers.queries import current_tier_of

PURPOSE = "unsubscribe"
# A link that ends more than these would not fit the column that keeps it.
IDS_MAX = 10
# A hundred thousand owners are neither loaded whole nor asked for one by one.
PEOPLE_AT_ONCE = 1_000


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


@dataclass(frozen=True)
class Reader:
    """Somebody who is told, once per event, whatever brings the mail to them.

    `orgs` are the organisations that they own on a tier concerned, as (name, tier's slug);
    `subscriptions` those that concern it, as (id, tier's slug, or None for every tier).
    """

    user_id: str
    email: str
    orgs: tuple[tuple[str, str], ...]
    subscriptions: tuple[tuple[str, str | None], ...]

    @property
    def is_owner(self) -> bool:
        return bool(self.orgs)


@dataclass(frozen=True)
class Batch:
    """Some of the readers, and the person to go on after; None where these were the last."""

    readers: tuple[Reader, ...]
    next_after: str | None


def list_readers(session: Session, tiers: Collection[str] | None, *, after: str = "") -> Batch:
    """The owners and subscribers whom these tiers concern, or with None everyone, by id, after `after`.

    Nobody whose address is not confirmed: it may be a stranger's.
    """
    query = (
        select(User.id, User.email)
        .where(User.id > after, User.email_confirmed_at.is_not(None))
        .order_by(User.id)
    )
    people = session.execute(query.limit(PEOPLE_AT_ONCE)).all()
    if not people:
        return Batch((), None)
    last = people[-1][0]
    orgs = _owned(session, tiers, after=after, last=last)
    subscriptions = _subscribed(session, tiers, after=after, last=last)
    readers = (
        Reader(user_id, email, tuple(orgs.get(user_id, ())), tuple(subscriptions.get(user_id, ())))
        for user_id, email in people
        if user_id in orgs or user_id in subscriptions
    )
    return Batch(tuple(readers), last if len(people) == PEOPLE_AT_ONCE else None)


def _owned(
    session: Session, tiers: Collection[str] | None, *, after: str, last: str
) -> dict[str, list[tuple[str, str]]]:
    tier = current_tier_of(Org.id)
    query = (
        select(Membership.user_id, Org.name, tier)
        .join(Org, Org.id == Membership.org_id)
        .where(
            Membership.role == Role.OWNER, Membership.user_id > after, Membership.user_id <= last
        )
        .order_by(Membership.user_id, Org.name, Org.id)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for user_id, name, slug in session.execute(query):
        if slug is not None and (tiers is None or slug in tiers):
            found.setdefault(user_id, []).append((name, slug))
    return found


def _subscribed(
    session: Session, tiers: Collection[str] | None, *, after: str, last: str
) -> dict[str, list[tuple[str, str | None]]]:
    query = (
        select(Subscription.user_id, Subscription.id, Subscription.tier)
        .where(
            Subscription.ended_at.is_(None),
            Subscription.user_id > after,
            Subscription.user_id <= last,
        )
        .order_by(Subscription.user_id, Subscription.id)
    )
    found: dict[str, list[tuple[str, str | None]]] = {}
    for user_id, subscription_id, slug in session.execute(query):
        if slug is None or tiers is None or slug in tiers:
            found.setdefault(user_id, []).append((subscription_id, slug))
    return found
