"""All keys of an organisation at once, when it is closed."""

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.orgs.models import Org


def count_unrevoked(session: Session, org_id: str) -> int:
    """How many keys of an organisation would still end by being revoked."""
    return session.scalar(select(func.count()).where(*_unrevoked(org_id))) or 0


def revoke_all_keys(session: Session, *, actor: Actor, org: Org, reason: str) -> None:
    """Revoke every key of an organisation that the caller has locked. Raises Forbidden."""
    keys = session.scalars(
        select(ApiKey)
        .where(*_unrevoked(org.id))
        .order_by(ApiKey.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for key in keys:
        revoke_key(session, actor=actor, key=key, reason=reason)


def _unrevoked(org_id: str) -> tuple[ColumnElement[bool], ...]:
    return ApiKey.org_id == org_id, ApiKey.revoked_at.is_(None)
