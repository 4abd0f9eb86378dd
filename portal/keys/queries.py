from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, or_, select
from sqlalchemy.orm import Session

from plimsoll.contract.records import KeyRecord
from plimsoll.contract.terms import Tier
from portal.accounts.models import User
from portal.core import clock
from portal.core.errors import NotFound
from portal.keys.models import ApiKey, KeyState
from portal.orgs.models import Org
from portal.tiers.queries import current_assignment
from portal.transparency.queries import policy


@dataclass(frozen=True)
class KeyRow:
    """One line of the list of keys."""

    id: str
    name: str
    prefix: str
    last_four: str
    environment: str
    state: KeyState
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class Allowance:
    """What the organisation's tier says about keys. `keys_max` None = no maximum."""

    tier: Tier
    keys_max: int | None
    live_keys: int
    models: tuple[str, ...]

    @property
    def is_full(self) -> bool:
        return self.keys_max is not None and self.live_keys >= self.keys_max


def list_keys(session: Session, org: Org) -> list[KeyRow]:
    """The keys of an organisation, live ones first, newest first; one query."""
    now = clock.now()
    rows = session.execute(
        select(ApiKey, User.email)
        .join(User, User.id == ApiKey.created_by)
        .where(ApiKey.org_id == org.id)
        .order_by(ApiKey.revoked_at.is_not(None), ApiKey.created_at.desc(), ApiKey.id)
    )
    return [
        KeyRow(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            last_four=key.last_four,
            environment=key.environment.value,
            state=key.state(now),
            created_at=key.created_at,
            created_by=email,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
        )
        for key, email in rows
    ]


def get_key(session: Session, org: Org, *, key_id: str, for_update: bool = False) -> ApiKey:
    """A key of an organisation that the caller has loaded, and so may see. Raises NotFound."""
    query = select(ApiKey).where(ApiKey.id == key_id, ApiKey.org_id == org.id)
    key = session.scalar(query.with_for_update() if for_update else query)
    if key is None:
        raise NotFound
    return key


def count_live(session: Session, org_id: str, *, at: datetime) -> int:
    """How many keys are active or paused."""
    return (
        session.scalar(
            select(func.count())
            .select_from(ApiKey)
            .where(
                ApiKey.org_id == org_id,
                ApiKey.revoked_at.is_(None),
                or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > at),
            )
        )
        or 0
    )


def get_allowance(session: Session, org: Org) -> Allowance:
    """What the organisation's tier allows now, from the public log, and how much of it is taken."""
    in_force = policy(session, clock.timestamp())
    tier = in_force.tiers[current_assignment(session, org.id).tier]
    return Allowance(
        tier=tier,
        keys_max=tier.keys_max,
        live_keys=count_live(session, org.id, at=clock.now()),
        models=tuple(sorted(model for offered, model in in_force.offers if offered == tier.slug)),
    )


def build_key_records(
    session: Session, ids: Collection[str] | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The `key` records (EXACT 10) of these keys, or of all, from columns: always fresh."""
    query = select(
        ApiKey.id,
        ApiKey.digest,
        ApiKey.org_id,
        ApiKey.lineage,
        ApiKey.environment,
        ApiKey.expires_at,
        ApiKey.models,
        ApiKey.networks,
        ApiKey.paused_at,
        ApiKey.revoked_at,
    )
    if ids is not None:
        query = query.where(ApiKey.id.in_(ids))
    for row in session.execute(query.execution_options(yield_per=1000)):
        yield row.id, _record(row).to_wire()


def _record(row: Row[*tuple[Any, ...]]) -> KeyRecord:
    state = "revoked" if row.revoked_at else "paused" if row.paused_at else "active"
    return KeyRecord(
        hash=row.digest,
        org=row.org_id,
        lineage=row.lineage,
        environment=row.environment.value,
        state=state,
        expires_at=int(row.expires_at.timestamp()) if row.expires_at else None,
        models=None if row.models is None else tuple(row.models),
        networks=None if row.networks is None else tuple(row.networks),
        caps=(),
    )
