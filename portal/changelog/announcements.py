"""News without limits: no number and no entry in the log, but the same list, feeds and mails."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.changelog.commands import prose, title_of
from portal.changelog.errors import AlreadyWithdrawn
from portal.changelog.models import PlainAnnouncement
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Invalid, NotFound
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.transparency.queries import policy


def publish_announcement(
    session: Session, *, actor: Actor, title: str, text: str, tiers: Sequence[str] = ()
) -> PlainAnnouncement:
    """Publish news; `tiers` (slugs) are those whom it concerns, none = everyone. Raises Invalid."""
    known = policy(session, clock.timestamp()).tiers
    if not set(tiers) <= set(known):
        raise Invalid("Choose from the published tiers.", field="tiers")
    news = PlainAnnouncement(
        id=new_id("ann"),
        title=title_of(title),
        text=_text(text),
        tiers=sorted(set(tiers)),
        created_by=actor.user_id,
        published_at=clock.now(),
    )
    session.add(news)
    record(session, actor, "announcement:published", subject_id=news.id, title=news.title)
    return news


def withdraw_announcement(session: Session, *, actor: Actor, announcement_id: str) -> None:
    """Withdraw news; it stays readable. Raises NotFound, AlreadyWithdrawn."""
    news = get_announcement(session, announcement_id, for_update=True)
    if news.withdrawn_at is not None:
        raise AlreadyWithdrawn
    news.withdrawn_at = clock.now()
    record(session, actor, "announcement:withdrawn", subject_id=news.id, title=news.title)


def get_announcement(
    session: Session, announcement_id: str, *, for_update: bool = False
) -> PlainAnnouncement:
    """Raises NotFound."""
    query = select(PlainAnnouncement).where(PlainAnnouncement.id == announcement_id)
    news = session.scalar(query.with_for_update() if for_update else query)
    if news is None:
        raise NotFound
    return news


def list_announcements(session: Session) -> list[PlainAnnouncement]:
    """All news, newest first."""
    order = PlainAnnouncement.published_at.desc(), PlainAnnouncement.id.desc()
    return list(session.scalars(select(PlainAnnouncement).order_by(*order)))


def _text(text: str) -> str:
    try:
        return prose(text)
    except Invalid as error:
        raise Invalid(error.public.replace("reason", "text"), field="text") from error
