from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, false, func, or_, select
from sqlalchemy.orm import Session

from plimsoll.contract.adjustments import Cap
from plimsoll.contract.records import KeyRecord
from plimsoll.contract.terms import Tier
from portal.accounts.models import User
from portal.core import clock
from portal.core.errors import NotFound
from portal.core.paging import Order, Page, fetch_page
from portal.keys.models import ApiKey, KeyLastUse, KeyLeak, KeyRules, KeyState
from portal.keys.policy import Rules
from portal.orgs.models import Membership, Org, Role
from portal.tiers.queries import current_assignment
from portal.tokens.models import AccessToken
from portal.transparency.queries import policy

PAGE = 100


@dataclass(frozen=True, kw_only=True)
class KeyFilter:
    """What a reader of the list looks for; empty = whatever it is. `page` counts from 1."""

    search: str = ""
    state: str = ""
    environment: str = ""
    page: int = 1

    @property
    def is_open(self) -> bool:
        return not (self.search or self.state or self.environment)


@dataclass(frozen=True)
class KeyRow:
    """One line of the list of keys. `was_rotated`: another took its place, and it has a grace at most."""

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
    was_rotated: bool
    used_at: datetime | None


@dataclass(frozen=True)
class FullKey:
    """A key, who issued it, when it was last used, and the instant at which that was read."""

    key: ApiKey
    issued_by: str
    used_at: datetime | None
    at: datetime


@dataclass(frozen=True)
class KeyList:
    """One page of the keys that a filter finds, and how many it finds in all."""

    rows: list[KeyRow]
    count: int
    asked: KeyFilter

    @property
    def has_more(self) -> bool:
        return self.asked.page * PAGE < self.count

    @property
    def first(self) -> int:
        return (self.asked.page - 1) * PAGE + 1


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


def list_keys(session: Session, org: Org, asked: KeyFilter | None = None) -> KeyList:
    """A page of an organisation's keys, those not revoked first, newest first; two queries however many."""
    asked, now = asked or KeyFilter(), clock.now()
    found = (ApiKey.org_id == org.id, *_found_by(asked, now))
    rows = session.execute(
        select(ApiKey, _issuer(), KeyLastUse.at)
        .outerjoin(KeyLastUse, KeyLastUse.key_id == ApiKey.id)
        .where(*found)
        .order_by(ApiKey.revoked_at.is_not(None), ApiKey.created_at.desc(), ApiKey.id)
        .limit(PAGE)
        .offset((asked.page - 1) * PAGE)
    )
    shown = [_row(key, by=by, used_at=used_at, now=now) for key, by, used_at in rows]
    count = session.scalar(select(func.count()).select_from(ApiKey).where(*found)) or 0
    return KeyList(rows=shown, count=count, asked=asked)


def _issuer() -> ColumnElement[str]:
    """Who issued a key: a person by address, or an organisation's access token by name."""
    person = select(User.email).where(User.id == ApiKey.created_by)
    token = select(AccessToken.name).where(AccessToken.id == ApiKey.token_id)
    found = (each.correlate(ApiKey).scalar_subquery() for each in (person, token))
    return func.coalesce(*found)


def _row(key: ApiKey, *, by: str, used_at: datetime | None, now: datetime) -> KeyRow:
    return KeyRow(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        last_four=key.last_four,
        environment=key.environment.value,
        state=key.state(now),
        created_at=key.created_at,
        created_by=by,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        was_rotated=key.successor_id is not None,
        used_at=used_at,
    )


def _found_by(asked: KeyFilter, now: datetime) -> Iterator[ColumnElement[bool]]:
    if asked.state:
        yield _is_in(KeyState(asked.state), now)
    if asked.environment:
        yield ApiKey.environment == asked.environment
    if asked.search:
        is_named = ApiKey.name_folded.contains(asked.search.casefold(), autoescape=True)
        yield or_(is_named, _looks_like(asked.search))


def _looks_like(text: str) -> ColumnElement[bool]:
    """What people copy from a list: "plim_live_abcd…wxyz", or either end of it."""
    first, _, last = text.partition("…")
    if last:
        return and_(ApiKey.prefix == first, ApiKey.last_four == last)
    # Brand and environment alone, or a part of them, would find every key.
    tells = first.count("_") > 1 and not first.endswith("_")
    begins = ApiKey.prefix.startswith(first, autoescape=True) if tells else false()
    return or_(begins, ApiKey.last_four == first)


def _is_in(state: KeyState, now: datetime) -> ColumnElement[bool]:
    """The state as `ApiKey.state` reads it, for the database."""
    is_over = and_(ApiKey.expires_at.is_not(None), ApiKey.expires_at <= now)
    alive = and_(ApiKey.revoked_at.is_(None), ~is_over)
    return {
        KeyState.REVOKED: ApiKey.revoked_at.is_not(None),
        KeyState.EXPIRED: and_(ApiKey.revoked_at.is_(None), is_over),
        KeyState.PAUSED: and_(alive, ApiKey.paused_at.is_not(None)),
        KeyState.ACTIVE: and_(alive, ApiKey.paused_at.is_(None)),
    }[state]


def get_key_page(
    session: Session, org: Org, asked: KeyFilter, *, cursor: str | None, size: int
) -> Page[FullKey]:
    """As `list_keys`, by cursor and newest first, revoked or not. Raises BadCursor."""
    now = clock.now()
    found = select(ApiKey).where(ApiKey.org_id == org.id, *_found_by(asked, now))
    page = fetch_page(session, found, order=Order(ApiKey.id), cursor=cursor, size=size)
    said = _said_of(session, [key.id for key in page.items])
    return page.map(lambda key: FullKey(key, *said[key.id], now))


def get_full_key(session: Session, key: ApiKey) -> FullKey:
    """A key that the caller has loaded, with what stands beside it."""
    return FullKey(key, *_said_of(session, [key.id])[key.id], clock.now())


def _said_of(session: Session, ids: Collection[str]) -> dict[str, tuple[str, datetime | None]]:
    """Who issued keys, and when they were last used."""
    query = select(ApiKey.id, _issuer(), KeyLastUse.at)
    query = query.outerjoin(KeyLastUse, KeyLastUse.key_id == ApiKey.id).where(ApiKey.id.in_(ids))
    return {key_id: (by, used_at) for key_id, by, used_at in session.execute(query)}


def find_org_of(session: Session, key_id: str) -> str | None:
    """Which organisation a key is of. It says nothing of who may see it."""
    return session.scalar(select(ApiKey.org_id).where(ApiKey.id == key_id))


def get_key(session: Session, org: Org, *, key_id: str, for_update: bool = False) -> ApiKey:
    """A key of an organisation that the caller has loaded, and so may see. Raises NotFound."""
    query = select(ApiKey).where(ApiKey.id == key_id, ApiKey.org_id == org.id)
    key = session.scalar(query.with_for_update() if for_update else query)
    if key is None:
        raise NotFound
    return key


def get_rules(session: Session, org_id: str) -> Rules:
    """What the organisation asks of its own keys."""
    row = session.get(KeyRules, org_id)
    if row is None:
        return Rules()
    return Rules(
        max_days=row.max_days,
        expiry_required=row.expiry_required,
        issuers=row.issuers,
        pause_leaked=row.pause_leaked,
    )


@dataclass(frozen=True)
class Sibling:
    """Another key of the same rotations."""

    id: str
    name: str
    state: KeyState
    expires_at: datetime | None
    last_four: str
    use: KeyLastUse | None


@dataclass(frozen=True)
class KeyStory:
    """What the key's page tells beyond the key itself.

    `olds`: keys of the same rotations that still work, newest first; `successor`: what took its place.
    """

    issued_by: str
    use: KeyLastUse | None
    olds: tuple[Sibling, ...]
    successor: Sibling | None
    leaks: tuple[KeyLeak, ...]


def get_story(session: Session, key: ApiKey) -> KeyStory:
    """When a key was used, what it took the place of, and where it was found in public."""
    now = clock.now()
    rows = session.execute(
        select(ApiKey, KeyLastUse)
        .outerjoin(KeyLastUse, KeyLastUse.key_id == ApiKey.id)
        .where(ApiKey.lineage == key.lineage, ApiKey.org_id == key.org_id)
        .order_by(ApiKey.created_at.desc(), ApiKey.id.desc())
    ).all()
    use = next((use for each, use in rows if each.id == key.id), None)
    others = {
        each.id: Sibling(each.id, each.name, each.state(now), each.expires_at, each.last_four, used)
        for each, used in rows
        if each.id != key.id
    }
    leaks = select(KeyLeak).where(KeyLeak.key_id == key.id).order_by(KeyLeak.reported_at)
    olds = (
        others[each.id]
        for each, _ in rows
        if each.id in others and each.successor_id and each.created_at <= key.created_at
    )
    return KeyStory(
        issued_by=session.scalar(select(_issuer()).where(ApiKey.id == key.id)) or "",
        use=use,
        olds=tuple(each for each in olds if each.state in {KeyState.ACTIVE, KeyState.PAUSED}),
        successor=others.get(key.successor_id or ""),
        leaks=tuple(session.scalars(leaks)),
    )


def count_beyond(session: Session, org_id: str, rules: Rules) -> int:
    """How many live keys go on for longer than the rules would let a new one; they were there before."""
    now = clock.now()
    latest = rules.latest_end(now)
    longer: list[ColumnElement[bool]] = []
    if rules.must_end:
        longer.append(ApiKey.expires_at.is_(None))
    if latest is not None:
        longer.append(ApiKey.expires_at > latest)
    if not longer:
        return 0
    alive = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)
    beyond = (ApiKey.org_id == org_id, ApiKey.revoked_at.is_(None), alive, or_(*longer))
    return session.scalar(select(func.count()).select_from(ApiKey).where(*beyond)) or 0


def people_to_tell(session: Session, key: ApiKey) -> list[User]:
    """Who hears of what happens to a key: owners, managers, and who issued it while they are a member."""
    return list(
        session.scalars(
            select(User)
            .join(Membership, Membership.user_id == User.id)
            .where(
                Membership.org_id == key.org_id,
                or_(
                    Membership.role.in_([Role.OWNER, Role.MANAGER]),
                    and_(User.id == key.created_by, Membership.role != Role.VIEWER),
                ),
            )
            .order_by(User.id)
        )
    )


def count_live(session: Session, org_id: str, *, at: datetime) -> int:
    """How many keys are active or paused; an old one in its grace counts as one with its successor."""
    return (
        session.scalar(
            select(func.count())
            .select_from(ApiKey)
            .where(
                ApiKey.org_id == org_id,
                ApiKey.revoked_at.is_(None),
                ApiKey.superseded_at.is_(None),
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
        ApiKey.caps,
        ApiKey.paused_at,
        ApiKey.revoked_at,
    )
    # A cursor on the server is for all of them; for a few it would be three journeys instead of one.
    query = (
        query.execution_options(yield_per=1000) if ids is None else query.where(ApiKey.id.in_(ids))
    )
    for row in session.execute(query):
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
        caps=tuple(Cap(**cap) for cap in row.caps),
    )
