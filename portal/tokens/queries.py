from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.tokens import looks_like
from portal.accounts.models import User
from portal.core import clock
from portal.core.actor import Actor, Bearer, Via
from portal.core.errors import Invalid, NotFound
from portal.core.secrets import digest
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import find_org_id, get_org_by_id
from portal.tokens.errors import TokenExpired, TokenRevoked, TokenUnknown
from portal.tokens.models import AccessToken
from portal.tokens.policy import beginnings


def get_bearer(session: Session, text: str, *, brand: str, ip: str | None) -> Actor:
    """Who acts with a token's secret. Raises TokenUnknown, TokenRevoked, TokenExpired."""
    if not any(looks_like(text, each) for each in beginnings(brand)):
        raise TokenUnknown
    token = session.scalar(select(AccessToken).where(AccessToken.digest == digest(text)))
    if token is None:
        raise TokenUnknown
    user = session.get(User, token.user_id) if token.user_id else None
    if token.revoked_at or (user is not None and user.deleted_at):
        raise TokenRevoked
    if token.is_over(clock.now()):
        raise TokenExpired
    return _actor(token, user, ip=ip)


def _actor(token: AccessToken, user: User | None, *, ip: str | None) -> Actor:
    bearer = Bearer(
        id=token.id,
        name=token.name,
        scopes=frozenset(token.scopes),
        org_id=token.org_id,
        role=token.role,
    )
    # Never staff: the pages of the provider are for people who have shown their second factor.
    return Actor(
        user_id=token.user_id,
        name=user.email if user else token.name,
        ip=ip,
        via=Via.TOKEN,
        token=bearer,
    )


def last_use(session: Session, token_id: str) -> datetime | None:
    """When a token was last used, exact to five minutes."""
    return session.scalar(select(AccessToken.used_at).where(AccessToken.id == token_id))


def get_named_org(
    session: Session,
    actor: Actor,
    named: str | None,
    *,
    needs: Permission,
    for_update: bool = False,
) -> Org:
    """The organisation that a request names by slug or id; a token of one means that one unless told.

    Raises Invalid (org), NotFound, Forbidden.
    """
    own = actor.token.org_id if actor.token else None
    org_id = own if named is None else find_org_id(session, named)
    if named is None and own is None:
        # Never “the only one there is”: that would change its meaning with the next invitation.
        raise Invalid("Say which organisation: ?org=…, its address or its id.", field="org")
    if org_id is None:
        raise NotFound
    return get_org_by_id(session, actor, org_id, needs=needs, for_update=for_update)


def list_tokens_of_user(session: Session, user_id: str) -> list[AccessToken]:
    """A person's tokens that are not revoked, newest first."""
    mine = AccessToken.user_id == user_id, AccessToken.revoked_at.is_(None)
    return list(session.scalars(select(AccessToken).where(*mine).order_by(AccessToken.id.desc())))


def list_tokens_of_org(session: Session, org_id: str) -> list[tuple[AccessToken, str]]:
    """An organisation's tokens that are not revoked, newest first, each with the address of who made it."""
    rows = session.execute(
        select(AccessToken, User.email)
        .join(User, User.id == AccessToken.created_by)
        .where(AccessToken.org_id == org_id, AccessToken.revoked_at.is_(None))
        .order_by(AccessToken.id.desc())
    )
    return [(token, email) for token, email in rows]


def get_token_of_user(
    session: Session, user_id: str, token_id: str, *, for_update: bool = False
) -> AccessToken:
    """One of a person's own tokens. Raises NotFound."""
    return _get(session, token_id, user_id=user_id, org_id=None, for_update=for_update)


def get_token_of_org(
    session: Session, org: Org, token_id: str, *, for_update: bool = False
) -> AccessToken:
    """A token of an organisation that the caller has loaded, and so may see. Raises NotFound."""
    return _get(session, token_id, user_id=None, org_id=org.id, for_update=for_update)


def _get(
    session: Session, token_id: str, *, user_id: str | None, org_id: str | None, for_update: bool
) -> AccessToken:
    query = select(AccessToken).where(
        AccessToken.id == token_id,
        AccessToken.user_id.is_not_distinct_from(user_id),
        AccessToken.org_id.is_not_distinct_from(org_id),
    )
    found = session.scalar(query.with_for_update() if for_update else query)
    if found is None:
        raise NotFound
    return found
