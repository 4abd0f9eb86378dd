from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.errors import Invalid
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.keys.anatomy import NewSecret, new_secret
from portal.keys.errors import NameTaken, NotConfirmed
from portal.keys.models import ApiKey, Environment
from portal.keys.policy import must_be_ahead, must_fit, normal_networks
from portal.keys.queries import get_allowance
from portal.orgs.models import Org
from portal.orgs.policy import Permission, must_be_allowed
from portal.orgs.queries import is_confirmed, role_of


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What a person asks for. `models` and `networks`: empty = any."""

    name: str
    environment: Environment = Environment.LIVE
    expires_at: datetime | None = None
    models: Collection[str] = ()
    networks: Collection[str] = ()


@dataclass(frozen=True)
class IssuedKey:
    """The row, and the secret that is shown this once."""

    key: ApiKey
    secret: NewSecret


def issue_key(
    session: Session, *, actor: Actor, org: Org, brand: str, request: KeyRequest
) -> IssuedKey:
    """Issue a key for an organisation that the caller has locked, so that two cannot pass the tier's maximum.

    Raises: Forbidden, NotConfirmed, KeysMaxReached, NameTaken, Invalid (expires_at, models, networks).
    """
    must_be_allowed(role_of(session, actor, org.id), Permission.ISSUE_KEY)
    if not is_confirmed(session, org.id):
        raise NotConfirmed
    allowance, now = get_allowance(session, org), clock.now()
    must_fit(live_keys=allowance.live_keys, keys_max=allowance.keys_max)
    must_be_ahead(request.expires_at, at=now)
    if not set(request.models) <= set(allowance.models):
        raise Invalid("Choose from the models that your tier offers.", field="models")
    secret = new_secret(f"{brand}_{request.environment.value}_")
    key = _add_key(session, actor=actor, org=org, request=request, secret=secret)
    details = {"name": key.name, "environment": key.environment.value, "prefix": key.prefix}
    record(session, actor, "org:key:issued", org_id=org.id, subject_id=key.id, **details)
    return IssuedKey(key=key, secret=secret)


def _add_key(
    session: Session, *, actor: Actor, org: Org, request: KeyRequest, secret: NewSecret
) -> ApiKey:
    key_id = new_id("key")
    key = ApiKey(
        id=key_id,
        org_id=org.id,
        name=request.name,
        name_folded=request.name.casefold(),
        prefix=secret.prefix,
        last_four=secret.last_four,
        digest=secret.digest,
        environment=request.environment,
        lineage=key_id,
        models=sorted(request.models) or None,
        networks=normal_networks(request.networks),
        created_by=actor.user_id,
        expires_at=request.expires_at,
    )
    session.add(key)
    try:
        session.flush()  # the index on live names decides, also between two at once
    except IntegrityError as error:
        if violates(error, "uq_api_keys_org_id_name_folded"):
            raise NameTaken(field="name") from error
        raise
    return key


def revoke_key(session: Session, *, actor: Actor, key: ApiKey, reason: str) -> None:
    """Revoke, for ever, a key that the caller has locked. A second time changes nothing. Raises Forbidden."""
    must_be_allowed(role_of(session, actor, key.org_id), Permission.REVOKE_KEY)
    if key.revoked_at:
        return
    key.revoked_at, key.revoked_by, key.revoked_reason = clock.now(), actor.user_id, reason
    details = {"name": key.name, "prefix": key.prefix, "reason": reason}
    record(session, actor, "org:key:revoked", org_id=key.org_id, subject_id=key.id, **details)
