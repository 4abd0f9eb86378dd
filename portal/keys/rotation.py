"""Rotation: a successor takes a key's place, and the old secret goes on for a grace."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import Actor
from portal.core.anatomy import NewSecret, new_secret
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.keys.commands import IssuedKey
from portal.keys.errors import KeyEnded, KeyRotated
from portal.keys.models import ApiKey, KeyState
from portal.keys.policy import (
    Rules,
    end_of_old,
    must_be_ahead,
    must_end_in_time,
    must_fit,
    must_issue,
    next_end,
    next_notice,
)
from portal.keys.queries import get_allowance, get_rules
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import must_be_let


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What somebody asks for. `expires_at` None: as long a life as the old key was given."""

    grace_seconds: int
    expires_at: datetime | None = None


def rotate_key(
    session: Session, *, actor: Actor, org: Org, key: ApiKey, brand: str, rotation: Rotation
) -> IssuedKey:
    """Issue a successor with the same name, scope, caps and lineage; the caller has locked first org, then key.

    No counter is reset: gateways count by organisation and lineage.
    Raises: Forbidden, NotAnIssuer, KeyEnded, KeyRotated, KeysMaxReached, Invalid (grace_seconds, expires_at).
    """
    role = must_be_let(session, actor, org.id, needs=Permission.ROTATE_KEY)
    rules = get_rules(session, org.id)
    must_issue(rules, role)
    must_be_rotatable(key)
    # Whole seconds, as the wire has them: portal and gateways end the old key at the same instant.
    now = clock.now().replace(microsecond=0)
    _must_have_room(session, org, key)
    old_end = end_of_old(key.expires_at, at=now, grace_seconds=rotation.grace_seconds)
    new_end = rotation.expires_at or end_of_successor(key, rules, at=now)
    must_be_ahead(new_end, at=now)
    must_end_in_time(rules, new_end, at=clock.now())
    secret = new_secret(f"{brand}_{key.environment.value}_")
    successor = _successor(key, actor=actor, secret=secret, expires_at=new_end)
    key.superseded_at, key.successor_id = clock.now(), successor.id
    key.expires_at, key.remind_at = old_end, next_notice(old_end, after=now)
    session.flush()  # the old key lets go of its name before the successor takes it
    session.add(successor)
    details = {
        "name": key.name,
        "prefix": key.prefix,
        "successor": successor.id,
        "old_ends": f"{old_end:%Y-%m-%d %H:%M:%S} UTC",
    }
    record(session, actor, "org:key:rotated", org_id=org.id, subject_id=key.id, **details)
    return IssuedKey(key=successor, secret=secret)


def end_of_successor(key: ApiKey, rules: Rules, *, at: datetime) -> datetime | None:
    """When a successor of the key ends, unless whoever rotates it says otherwise."""
    end = next_end(rules, created_at=key.created_at, expires_at=key.expires_at, at=at)
    return end and end.replace(microsecond=0)


def must_be_rotatable(key: ApiKey) -> None:
    """Raises KeyEnded, KeyRotated."""
    if key.revoked_at:
        raise KeyEnded("This key is revoked, for ever. Issue another one.")
    if key.successor_id:
        raise KeyRotated


def _must_have_room(session: Session, org: Org, key: ApiKey) -> None:
    # A key that works makes room for its successor; one that has ended takes no place any more.
    if key.state(clock.now()) is KeyState.EXPIRED:
        allowance = get_allowance(session, org)
        must_fit(live_keys=allowance.live_keys, keys_max=allowance.keys_max)


def _successor(
    key: ApiKey, *, actor: Actor, secret: NewSecret, expires_at: datetime | None
) -> ApiKey:
    return ApiKey(
        id=new_id("key"),
        org_id=key.org_id,
        name=key.name,
        name_folded=key.name_folded,
        prefix=secret.prefix,
        last_four=secret.last_four,
        digest=secret.digest,
        environment=key.environment,
        lineage=key.lineage,
        models=key.models,
        networks=key.networks,
        caps=key.caps,
        created_by=actor.user_id,
        token_id=None if actor.user_id else actor.id,
        expires_at=expires_at,
        remind_at=next_notice(expires_at, after=clock.now()),
    )
