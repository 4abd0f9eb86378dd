from typing import Any

from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import Actor, Via
from portal.core.db import last_step
from portal.core.ids import new_id
from portal.journal.chain import PORTAL, Chaining

# Of whom an act is, besides who acted: such details can be erased, so they stand outside the hash.
PERSONAL = frozenset({"email", "old_email", "new_email", "person", "device"})


def record(
    session: Session,
    actor: Actor,
    tag: str,
    *,
    org_id: str | None = None,
    subject_id: str | None = None,
    **details: Any,
) -> None:
    """Add one event. `details` hold what changed and why, never a secret.

    Names and addresses of people stand under the names in `PERSONAL` and nowhere else.
    """
    personal = {name: details.pop(name) for name in PERSONAL & set(details)}
    if actor.token:
        details |= {"token": actor.token.name, "token_id": actor.token.id}
    event = {
        "id": new_id("evt"),
        "chain": org_id or PORTAL,
        "at": clock.now(),
        "tag": tag,
        "actor_id": actor.id,
        "is_staff": actor.is_admin and actor.via is Via.WEB,
        "via": actor.via.value,
        "org_id": org_id,
        "subject_id": subject_id,
        "details": details,
        "actor_name": actor.name,
        "ip": actor.ip,
        "personal": personal or None,
    }
    last_step(session, Chaining).events.append(event)


def record_look(session: Session, actor: Actor, *, org_id: str, what: str) -> None:
    """One of the staff has opened what is an organisation's own: it sees that, and who."""
    record(session, actor, f"org:{what}:seen", org_id=org_id, subject_id=org_id)
