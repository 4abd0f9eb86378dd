from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.ids import new_id
from portal.core.outbox import Message, queue_mail, queue_mails
from portal.core.secrets import choose
from portal.journal.commands import record
from portal.journal.queries import find_event
from portal.orgs import mails
from portal.orgs.errors import AlreadySuspended, AlreadyTold, NotSuspended, SlugTaken, SlugUsed
from portal.orgs.models import Membership, Org, OrgSlug, Role
from portal.orgs.policy import (
    RESERVED_SLUGS,
    Permission,
    must_be_allowed,
    must_be_slug,
    slug_from,
)
from portal.orgs.queries import owners, role_of
from portal.orgs.telling import tell

SUFFIX_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"


def create_org(session: Session, *, actor: Actor, owner: User, name: str) -> Org:
    """Add an organisation with one owner. Its tier is `tiers`' to give. Raises SlugTaken."""
    org = Org(id=new_id("org"), slug=_free_slug(session, name), name=name)
    session.add(org)
    try:
        session.flush()  # what follows points foreign keys at the row, and the slug may be taken
        session.add(OrgSlug(org_id=org.id, slug=org.slug))
        session.flush()  # or somebody else had the slug before
    except IntegrityError as error:
        if violates(error, "uq_orgs_slug") or violates(error, "uq_org_slugs_slug"):
            raise SlugTaken from error
        raise
    session.add(Membership(org_id=org.id, user_id=owner.id, role=Role.OWNER))
    record(session, actor, "org:created", org_id=org.id, subject_id=org.id, name=name)
    return org


def _free_slug(session: Session, name: str) -> str:
    slug = slug_from(name)
    taken = session.scalar(select(OrgSlug.org_id).where(OrgSlug.slug == slug))
    if taken is None and slug not in RESERVED_SLUGS:
        return slug
    return slug + "-" + "".join(choose(SUFFIX_ALPHABET) for _ in range(6))


def rename_org(session: Session, *, actor: Actor, org: Org, name: str) -> None:
    """Give an organisation, locked by the caller, another name; the same changes nothing. Raises Forbidden."""
    must_be_allowed(role_of(session, actor, org.id), Permission.MANAGE_ORG)
    was = org.name
    if name == was:
        return
    org.name = name
    record(session, actor, "org:renamed", org_id=org.id, subject_id=org.id, was=was, name=name)
    tell(
        session,
        actor=actor,
        org_id=org.id,
        message=lambda to: mails.renamed(to=to, org=name, was=was, by=actor.name),
    )


def move_org(session: Session, *, actor: Actor, org: Org, slug: str, url: str) -> None:
    """Give an organisation, locked by the caller, another slug; the old one stays its own and leads here.

    Raises Forbidden, BadSlug, SlugUsed.
    """
    must_be_allowed(role_of(session, actor, org.id), Permission.MANAGE_ORG)
    was = org.slug
    if slug == was:
        return
    must_be_slug(slug)
    _claim(session, org, slug)
    org.slug = slug
    record(session, actor, "org:moved", org_id=org.id, subject_id=org.id, was=was, slug=slug)
    address = f"{url}/orgs/{slug}"
    tell(
        session,
        actor=actor,
        org_id=org.id,
        message=lambda to: mails.moved(to=to, org=org.name, by=actor.name, address=address),
    )


def _claim(session: Session, org: Org, slug: str) -> None:
    claimed = session.scalar(select(OrgSlug).where(OrgSlug.slug == slug))
    if claimed is not None and claimed.org_id == org.id:
        return  # it had this one before
    session.add(OrgSlug(org_id=org.id, slug=slug))
    try:
        session.flush()  # the index decides, also between two at once
    except IntegrityError as error:
        if violates(error, "uq_org_slugs_slug"):
            raise SlugUsed from error
        raise


def suspend_org(session: Session, *, actor: Actor, org: Org, reason: str) -> None:
    """Suspend: every gateway refuses the organisation's keys. Raises AlreadySuspended."""
    if org.suspended_at:
        raise AlreadySuspended
    org.suspended_at, org.suspended_reason = clock.now(), reason
    record(session, actor, "org:suspended", org_id=org.id, subject_id=org.id, reason=reason)
    _tell_owners(session, org=org, message=mails.suspended, reason=reason)


def lift_suspension(session: Session, *, actor: Actor, org: Org, reason: str) -> None:
    """Let the organisation's keys work again. Raises NotSuspended."""
    if not org.suspended_at:
        raise NotSuspended
    org.suspended_at, org.suspended_reason = None, None
    record(session, actor, "org:lifted", org_id=org.id, subject_id=org.id, reason=reason)
    _tell_owners(session, org=org, message=mails.lifted, reason=reason)


@dataclass(frozen=True, kw_only=True)
class StaffMessage:
    """What the staff writes to owners. `batch`: the bulk act, which reaches nobody twice."""

    subject: str
    text: str
    batch: str


def message_owners(session: Session, *, actor: Actor, org: Org, message: StaffMessage) -> int:
    """Mail the owners of an organisation that the caller has locked; says how many. Raises AlreadyTold."""
    if find_event(session, org_id=org.id, subject_id=message.batch) is not None:
        raise AlreadyTold
    details = {"subject": message.subject}
    record(
        session, actor, "org:owners:messaged", org_id=org.id, subject_id=message.batch, **details
    )
    mailed = {
        owner.id: mails.from_staff(
            to=owner.email, org=org.name, subject=message.subject, text=message.text
        )
        for owner in owners(session, org.id)
    }
    queue_mails(session, mailed, event=f"{message.batch}:{org.id}")
    return len(mailed)


def _tell_owners(
    session: Session, *, org: Org, message: Callable[..., Message], reason: str
) -> None:
    event = new_id("evt")
    for owner in owners(session, org.id):
        built = message(to=owner.email, org=org.name, reason=reason)
        queue_mail(session, built, event=event, person=owner.id)
