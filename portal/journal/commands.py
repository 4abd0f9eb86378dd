from typing import Any

from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.ids import new_id
from portal.journal.models import Event


def record(
    session: Session,
    actor: Actor,
    tag: str,
    *,
    org_id: str | None = None,
    subject_id: str | None = None,
    **details: Any,
) -> None:
    """Add one event. `details` hold what changed and why, never a secret."""
    session.add(
        Event(
            id=new_id("evt"),
            tag=tag,
            actor_id=actor.user_id,
            actor_name=actor.name,
            via=actor.via.value,
            ip=actor.ip,
            org_id=org_id,
            subject_id=subject_id,
            details=details,
        )
    )
