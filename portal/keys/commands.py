from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import Actor
from portal.core.anatomy import NewSecret, new_secret
from portal.core.db import violates
from portal.core.errors import Invalid
from portal.core.ids import new_id
from portal.core.upserts import upsert
from portal.journal.commands import record
from portal.keys.errors import KeyEnded, KeyRotated, NameTaken, NotConfirmed
from portal.keys.models import ApiKey, Environment, KeyLastUse, KeyRules, KeyState
from portal.keys.policy import (
    Rules,
    must_be_ahead,
    must_end_in_time,
    must_fit,
    must_issue,
    next_notice,
    normal_networks,
)
from portal.keys.queries import get_allowance, get_rules
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import is_confirmed, must_be_let, role_of


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


class Use(NamedTuple):
    """That a key was used at an instant, at a gateway known by its name."""

    key_id: str
    at: datetime
    gateway: str


def issue_key(
    session: Session, *, actor: Actor, org: Org, brand: str, request: KeyRequest
) -> IssuedKey:
    """Issue a key for an organisation that the caller has locked, so that two cannot pass the tier's maximum.

    Raises: Forbidden, NotAnIssuer, NotConfirmed, KeysMaxReached, NameTaken, Invalid (expires_at, models,
    networks).
    """
    role = must_be_let(session, actor, org.id, needs=Permission.ISSUE_KEY)
    rules, now = get_rules(session, org.id), clock.now()
    must_issue(rules, role)
    if not is_confirmed(session, org.id):
        raise NotConfirmed
    allowance = get_allowance(session, org)
    must_fit(live_keys=allowance.live_keys, keys_max=allowance.keys_max)
    must_be_ahead(request.expires_at, at=now)
    must_end_in_time(rules, request.expires_at, at=now)
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
        token_id=None if actor.user_id else actor.id,
        expires_at=request.expires_at,
        remind_at=next_notice(request.expires_at, after=clock.now()),
    )
    session.add(key)
    _flush_name(session)
    return key


def _flush_name(session: Session) -> None:
    try:
        session.flush()  # the index on live names decides, also between two at once
    except IntegrityError as error:
        if violates(error, "uq_api_keys_org_id_name_folded"):
            raise NameTaken(field="name") from error
        raise


def rename_key(session: Session, *, actor: Actor, key: ApiKey, name: str) -> None:
    """Give a key, locked by the caller, another name. Raises Forbidden, KeyEnded, KeyRotated, NameTaken."""
    must_be_let(session, actor, key.org_id, needs=Permission.EDIT_KEY)
    if key.revoked_at:
        raise KeyEnded("A revoked key keeps its name.")
    if key.successor_id:
        raise KeyRotated(
            "A key that was rotated keeps its name. Rename the key that took its place."
        )
    if name == key.name:
        return
    before, key.name, key.name_folded = key.name, name, name.casefold()
    _flush_name(session)
    _journal(session, actor, key, tag="org:key:renamed", before=before)


def pause_key(session: Session, *, actor: Actor, key: ApiKey) -> None:
    """Let gateways refuse a key, locked by the caller, until it is resumed. A second time changes nothing.

    Raises Forbidden, KeyEnded.
    """
    must_be_let(session, actor, key.org_id, needs=Permission.PAUSE_KEY)
    if key.state(clock.now()) in {KeyState.REVOKED, KeyState.EXPIRED}:
        raise KeyEnded("This key has ended: gateways refuse it already.")
    pause(session, actor=actor, key=key)


def pause(session: Session, *, actor: Actor, key: ApiKey, **details: str) -> None:
    """Pause, whoever acts: for callers that have asked who may."""
    if key.paused_at:
        return
    key.paused_at = clock.now()
    _journal(session, actor, key, tag="org:key:paused", **details)


def resume_key(session: Session, *, actor: Actor, key: ApiKey) -> None:
    """Let a paused key, locked by the caller, work again. A second time changes nothing.

    Raises Forbidden, KeyEnded.
    """
    must_be_let(session, actor, key.org_id, needs=Permission.PAUSE_KEY)
    if key.state(clock.now()) in {KeyState.REVOKED, KeyState.EXPIRED}:
        raise KeyEnded("This key has ended: it cannot be resumed.")
    if key.paused_at is None:
        return
    key.paused_at = None
    _journal(session, actor, key, tag="org:key:resumed")


def revoke_key(session: Session, *, actor: Actor, key: ApiKey, reason: str) -> None:
    """Revoke, for ever, a key that the caller has locked. A second time changes nothing. Raises Forbidden."""
    must_be_let(session, actor, key.org_id, needs=Permission.REVOKE_KEY)
    _revoke(session, actor=actor, key=key, reason=reason)


def revoke_keys_of(
    session: Session, *, actor: Actor, org: Org, user_id: str, reason: str
) -> list[ApiKey]:
    """Revoke all keys that a member issued: one's own when one leaves, or with the right to revoke.

    Call it while both are members, and before anything that writes to the journal: other acts lock the
    key first and the journal after it. Returns what it revoked. Raises Forbidden.
    """
    role_of(session, actor, org.id)
    if actor.user_id != user_id:
        must_be_let(session, actor, org.id, needs=Permission.REVOKE_KEY)
    keys = session.scalars(
        select(ApiKey)
        .where(ApiKey.org_id == org.id, ApiKey.created_by == user_id, ApiKey.revoked_at.is_(None))
        .order_by(ApiKey.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for key in keys:
        _revoke(session, actor=actor, key=key, reason=reason)
    return list(keys)


def _revoke(session: Session, *, actor: Actor, key: ApiKey, reason: str) -> None:
    if key.revoked_at:
        return
    key.revoked_at, key.revoked_by, key.revoked_reason = clock.now(), actor.id, reason
    key.remind_at = None
    _journal(session, actor, key, tag="org:key:revoked", reason=reason)


def set_rules(session: Session, *, actor: Actor, org: Org, rules: Rules) -> None:
    """Say what an organisation, locked by the caller, asks of its keys from now on. Raises Forbidden."""
    must_be_let(session, actor, org.id, needs=Permission.MANAGE_ORG)
    before = get_rules(session, org.id)
    if rules == before:
        return
    row = session.get(KeyRules, org.id) or KeyRules(org_id=org.id)
    row.max_days, row.expiry_required = rules.max_days, rules.expiry_required
    row.issuers, row.pause_leaked = rules.issuers, rules.pause_leaked
    session.add(row)
    details = {"before": _as_details(before), "after": _as_details(rules)}
    record(session, actor, "org:key_rules:changed", org_id=org.id, subject_id=org.id, **details)


def _as_details(rules: Rules) -> dict[str, object]:
    return {
        "max_days": rules.max_days,
        "expiry_required": rules.expiry_required,
        "issuers": rules.issuers.value,
        "pause_leaked": rules.pause_leaked,
    }


def note_use(session: Session, uses: Iterable[Use]) -> None:
    """Remember when keys were last used; what was heard of later stays. Of each key the latest counts.

    Always in the order of keys, so that two gateways' reports cannot wait for each other.
    """
    latest: dict[str, Use] = {}
    for use in uses:
        if use.key_id not in latest or latest[use.key_id].at < use.at:
            latest[use.key_id] = use
    upsert(session, KeyLastUse, map(tuple, latest.values()), newer="at")


def _journal(session: Session, actor: Actor, key: ApiKey, *, tag: str, **details: str) -> None:
    named = {"name": key.name, "prefix": key.prefix, **details}
    record(session, actor, tag, org_id=key.org_id, subject_id=key.id, **named)
