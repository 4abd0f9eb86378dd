"""The acts by which a person is told of changes, and is told no longer."""

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.changelog.errors import AddressUnconfirmed, AlreadySubscribed, UnknownTier
from portal.changelog.models import Subscription
from portal.changelog.subscribers import list_subscriptions
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.tiers.queries import list_tiers


def subscribe(session: Session, *, actor: Actor, user: User, tier: str | None) -> Subscription:
    """Mail a person, locked by the caller, what concerns a tier, or with None all of them.

    All of them takes the place of each. Raises AddressUnconfirmed, UnknownTier, AlreadySubscribed.
    """
    if user.email_confirmed_at is None:
        raise AddressUnconfirmed  # else anyone could have a stranger's address mailed
    if tier is not None and tier not in {each.slug for each in list_tiers(session)}:
        raise UnknownTier(field="tier")
    live = list_subscriptions(session, user.id)
    if any(each.tier in {tier, None} for each in live):
        raise AlreadySubscribed
    if tier is None:
        end(session, actor=actor, subscriptions=live)
    made = Subscription(id=new_id("sub"), user_id=user.id, tier=tier)
    session.add(made)
    try:
        session.flush()  # the index decides between two at once
    except IntegrityError as error:
        if violates(error, "uq_subscriptions_user_tier"):
            raise AlreadySubscribed from error
        raise
    record(session, actor, "user:subscription:started", subject_id=made.id, tier=tier)
    return made


def end(session: Session, *, actor: Actor, subscriptions: Iterable[Subscription]) -> None:
    """End subscriptions that the caller has locked. What has ended already stays as it is."""
    for each in subscriptions:
        if each.ended_at is None:
            each.ended_at = clock.now()
            # By the link nobody need be signed in: the journal names whose subscription it was.
            who = actor if actor.name else replace(actor, user_id=each.user_id)
            record(session, who, "user:subscription:ended", subject_id=each.id, tier=each.tier)
