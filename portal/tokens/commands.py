from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core import clock
from portal.core.actor import Actor
from portal.core.anatomy import NewSecret, new_secret
from portal.core.db import violates
from portal.core.errors import Invalid
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.orgs.models import Org, Role
from portal.orgs.policy import Permission, Scope
from portal.orgs.queries import is_confirmed, must_be_let
from portal.tokens.errors import NameTaken, NotConfirmed
from portal.tokens.models import AccessToken
from portal.tokens.policy import beginning, must_be_ahead, must_be_token_role

_NAMES = ("uq_access_tokens_user_id_name_folded", "uq_access_tokens_org_id_name_folded")


@dataclass(frozen=True, kw_only=True)
class TokenRequest:
    """What a person asks for. `expires_at` None = never by itself."""

    name: str
    scopes: Collection[Scope]
    expires_at: datetime | None = None


@dataclass(frozen=True)
class IssuedToken:
    """The row, and the secret that is shown this once."""

    token: AccessToken
    secret: NewSecret


def issue_personal_token(
    session: Session, *, actor: Actor, user: User, brand: str, request: TokenRequest
) -> IssuedToken:
    """Issue a token that acts as the person. Raises NotConfirmed, NameTaken, Invalid."""
    if user.email_confirmed_at is None:
        raise NotConfirmed
    secret = new_secret(beginning(brand, is_org=False))
    token = _token(actor, request, secret)
    token.user_id = user.id
    _add(session, token)
    record(session, actor, "user:token:issued", subject_id=token.id, **_details(token))
    return IssuedToken(token, secret)


def issue_org_token(
    session: Session, *, actor: Actor, org: Org, role: Role, brand: str, request: TokenRequest
) -> IssuedToken:
    """Issue a token that acts as the organisation, with a role of its own.

    Raises Forbidden, NotConfirmed, NameTaken, Invalid.
    """
    must_be_let(session, actor, org.id, needs=Permission.MANAGE_TOKENS)
    if not is_confirmed(session, org.id):
        raise NotConfirmed
    must_be_token_role(role)
    secret = new_secret(beginning(brand, is_org=True))
    token = _token(actor, request, secret)
    token.org_id, token.role = org.id, role
    _add(session, token)
    details = _details(token) | {"role": role.value}
    record(session, actor, "org:token:issued", org_id=org.id, subject_id=token.id, **details)
    return IssuedToken(token, secret)


def _token(actor: Actor, request: TokenRequest, secret: NewSecret) -> AccessToken:
    if not request.scopes:
        raise Invalid("Tick at least one.", field="scopes")
    must_be_ahead(request.expires_at, at=clock.now())
    return AccessToken(
        id=new_id("tok"),
        name=request.name,
        name_folded=request.name.casefold(),
        scopes=sorted({scope.value for scope in request.scopes}),
        prefix=secret.prefix,
        last_four=secret.last_four,
        digest=secret.digest,
        created_by=actor.user_id,
        expires_at=request.expires_at,
    )


def _add(session: Session, token: AccessToken) -> None:
    session.add(token)
    try:
        session.flush()  # the index on live names decides, also between two at once
    except IntegrityError as error:
        if any(violates(error, name) for name in _NAMES):
            raise NameTaken(field="name") from error
        raise


def revoke_personal_token(session: Session, *, actor: Actor, token: AccessToken) -> None:
    """Revoke, for ever, a token of the actor's own, locked by the caller. A second time changes nothing."""
    _revoke(session, actor=actor, token=token)


def revoke_org_token(session: Session, *, actor: Actor, org: Org, token: AccessToken) -> None:
    """Revoke, for ever, a token that the caller has locked. A second time changes nothing. Raises Forbidden."""
    must_be_let(session, actor, org.id, needs=Permission.MANAGE_TOKENS)
    _revoke(session, actor=actor, token=token)


def revoke_all_of_user(session: Session, *, actor: Actor, user_id: str) -> None:
    """Revoke all tokens of a person whose account ends."""
    _revoke_all(session, AccessToken.user_id == user_id, actor=actor)


def revoke_all_of_org(session: Session, *, actor: Actor, org: Org) -> None:
    """Revoke all tokens of an organisation that is closed."""
    _revoke_all(session, AccessToken.org_id == org.id, actor=actor)


def _revoke_all(session: Session, whose: ColumnElement[bool], *, actor: Actor) -> None:
    live = select(AccessToken).where(whose, AccessToken.revoked_at.is_(None))
    for token in session.scalars(live.order_by(AccessToken.id).with_for_update()):
        _revoke(session, actor=actor, token=token)


def _revoke(session: Session, *, actor: Actor, token: AccessToken) -> None:
    if token.revoked_at:
        return
    token.revoked_at, token.revoked_by = clock.now(), actor.id
    tag = "org:token:revoked" if token.org_id else "user:token:revoked"
    details = {"name": token.name, "prefix": token.prefix}
    record(session, actor, tag, org_id=token.org_id, subject_id=token.id, **details)


def note_token_use(session: Session, token_id: str) -> None:
    """Note that a token was used now."""
    used = update(AccessToken).where(AccessToken.id == token_id)
    session.execute(used.values(used_at=clock.now()))


def _details(token: AccessToken) -> dict[str, Any]:
    ends = f"{token.expires_at:%Y-%m-%d %H:%M:%S} UTC" if token.expires_at else None
    return {
        "name": token.name,
        "prefix": token.prefix,
        "scopes": token.scopes,
        "ends": ends,
    }
