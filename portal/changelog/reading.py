"""How far people have read the changelog. Theirs alone: no journal keeps what somebody read."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.changelog.models import ChangelogRead
from portal.core import clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def mark_read(session: Session, *, user_id: str, until: int) -> None:
    """Note that all was read up to `until` (microseconds since 1970), never further than now."""
    read_at = min(clock.now(), EPOCH + timedelta(microseconds=until))
    mark = session.scalar(
        select(ChangelogRead).where(ChangelogRead.user_id == user_id).with_for_update()
    )
    if mark is None:
        session.add(ChangelogRead(user_id=user_id, read_at=read_at))
    elif mark.read_at < read_at:
        # An older tab does not take back what a newer one has read.
        mark.read_at = read_at
