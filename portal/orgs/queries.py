from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, literal, or_, select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core.actor import Actor
from portal.core.errors import NotFound
from portal.orgs.errors import OrgMoved
from portal.orgs.models import Membership, Org, OrgSlug, Role
from portal.orgs.policy import Permission, must_be_allowed, must_be_in_scope


@dataclass(frozen=True)
class OrgRow:
    """One line of the staff's list."""

    id: str
    slug: str
    name: str
    created_at: datetime
    suspended_at: datetime | None
    owner_email: str | None


def get_org(
    session: Session, actor: Actor, slug: str, *, needs: Permission, for_update: bool = False
) -> Org:
    """An organisation that the actor is a member of, with the right to `needs`.

    Raises NotFound for outsiders, Forbidden for members without the right, OrgMoved under an old slug.
    """
    query = _seen_by(actor).where(Org.slug == slug)
    found = session.execute(query.with_for_update(of=Org) if for_update else query).first()
    if found is None:
        raise _not_here(session, actor, slug)
    return _let(actor, *found, needs=needs)


def get_org_by_id(
    session: Session, actor: Actor, org_id: str, *, needs: Permission, for_update: bool = False
) -> Org:
    """As `get_org`, by the id, which never changes. Raises NotFound, Forbidden."""
    query = _seen_by(actor).where(Org.id == org_id)
    found = session.execute(query.with_for_update(of=Org) if for_update else query).first()
    if found is None:
        raise NotFound
    return _let(actor, *found, needs=needs)


def _seen_by(actor: Actor) -> Select[Org, Role]:
    """The organisations that an actor sees, with the role there."""
    if actor.token and actor.token.role:
        role = literal(Role(actor.token.role), Membership.role.type)
        return select(Org, role).where(Org.id == actor.token.org_id)
    return (
        select(Org, Membership.role)
        .join(Membership, Membership.org_id == Org.id)
        .where(Membership.user_id == actor.user_id)
    )


def _let(actor: Actor, org: Org, role: Role, *, needs: Permission) -> Org:
    must_be_allowed(role, needs)
    must_be_in_scope(actor, needs)
    return org


def _not_here(session: Session, actor: Actor, slug: str) -> NotFound | OrgMoved:
    """Why a member finds nothing under a slug: it may be an old one of an organisation of theirs."""
    moved = session.scalar(
        select(Org.slug)
        .join(OrgSlug, OrgSlug.org_id == Org.id)
        .join(Membership, Membership.org_id == Org.id)
        .where(OrgSlug.slug == slug, Org.slug != slug, Membership.user_id == actor.user_id)
    )
    return NotFound() if moved is None else OrgMoved(moved)


def role_of(session: Session, actor: Actor, org_id: str) -> Role:
    """The actor's role in an organisation. Raises NotFound for outsiders."""
    found = session.execute(_seen_by(actor).where(Org.id == org_id)).first()
    if found is None:
        raise NotFound
    return found[1]


def must_be_let(session: Session, actor: Actor, org_id: str, *, needs: Permission) -> Role:
    """The actor's role, which allows `needs`, as does the token that they came with.

    Raises NotFound, Forbidden.
    """
    role = role_of(session, actor, org_id)
    must_be_allowed(role, needs)
    must_be_in_scope(actor, needs)
    return role


def find_org_id(session: Session, named: str) -> str | None:
    """Which organisation an id, a slug or a former slug means. It says nothing of who may see it."""
    found = session.scalar(select(Org.id).where(or_(Org.id == named, Org.slug == named)))
    return found or session.scalar(select(OrgSlug.org_id).where(OrgSlug.slug == named))


def list_orgs_seen(session: Session, actor: Actor) -> list[tuple[Org, Role]]:
    """The organisations that an actor sees, with the role in each, by name."""
    rows = session.execute(_seen_by(actor).order_by(Org.name, Org.id))
    return [(org, role) for org, role in rows]


def get_org_as_admin(session: Session, actor: Actor, slug: str, *, for_update: bool = False) -> Org:
    """Any organisation, for the provider's staff. Raises NotFound, OrgMoved."""
    query = select(Org).where(Org.slug == slug)
    org = session.scalar(query.with_for_update() if for_update else query)
    if not actor.is_admin:
        raise NotFound
    if org is None:
        renamed = select(Org.slug).join(OrgSlug, OrgSlug.org_id == Org.id)
        moved = session.scalar(renamed.where(OrgSlug.slug == slug))
        raise NotFound if moved is None else OrgMoved(moved)
    return org


def list_orgs_of(session: Session, user_id: str) -> list[Org]:
    """The organisations that a person is a member of, oldest membership first."""
    return list(
        session.scalars(
            select(Org)
            .join(Membership, Membership.org_id == Org.id)
            .where(Membership.user_id == user_id)
            .order_by(Membership.created_at, Org.id)
        )
    )


def list_memberships(session: Session, user_id: str) -> list[tuple[Org, Role]]:
    """A person's organisations with their role in each, by name: what the switcher shows."""
    return list_orgs_seen(session, Actor(user_id=user_id))


def list_all_orgs(
    session: Session,
    *,
    search: str = "",
    where: Iterable[ColumnElement[bool]] = (),
    limit: int = 200,
) -> list[OrgRow]:
    """Organisations for the staff's list, newest first, with the address of the first owner.

    `where`: further conditions on the organisation, of slices that know more of it.
    """
    owner = _first_owner()
    query = select(Org.id, Org.slug, Org.name, Org.created_at, Org.suspended_at, owner)
    query = query.where(*_found_by(search, owner), *where)
    rows = session.execute(query.order_by(Org.created_at.desc(), Org.id).limit(limit))
    return [OrgRow(*row) for row in rows]


def count_all_orgs(
    session: Session, *, search: str = "", where: Iterable[ColumnElement[bool]] = ()
) -> int:
    """How many organisations `list_all_orgs` would find without a limit."""
    query = select(func.count()).select_from(Org).where(*_found_by(search, _first_owner()), *where)
    return session.scalar(query) or 0


def _first_owner() -> ScalarSelect[str]:
    return (
        select(func.min(User.email))
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.org_id == Org.id, Membership.role == Role.OWNER)
        .correlate(Org)
        .scalar_subquery()
    )


def _found_by(search: str, owner: ScalarSelect[str]) -> list[ColumnElement[bool]]:
    if not search:
        return []
    places = (Org.name, Org.slug, owner)
    return [or_(*(place.icontains(search, autoescape=True) for place in places))]


def get_org_by_id_as_admin(
    session: Session, actor: Actor, org_id: str, *, for_update: bool = False
) -> Org:
    """As `get_org_as_admin`, by the id that a form carries. Raises NotFound."""
    query = select(Org).where(Org.id == org_id)
    org = session.scalar(query.with_for_update() if for_update else query)
    if org is None or not actor.is_admin:
        raise NotFound
    return org


def owners(session: Session, org_id: str) -> list[User]:
    """The owners of an organisation."""
    return list(
        session.scalars(
            select(User)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.org_id == org_id, Membership.role == Role.OWNER)
            .order_by(User.id)
        )
    )


def is_confirmed(session: Session, org_id: str) -> bool:
    """Whether an owner's address is confirmed: only then are keys issued (EXACT 11)."""
    return any(owner.email_confirmed_at for owner in owners(session, org_id))
