"""How much a person says on the board: counted at the edge, before the act."""

from portal.accounts.login import current_actor
from portal.web import throttle


def count(name: str) -> None:
    """Count one act of the person; the staff's are not. Raises TooMany."""
    actor = current_actor()
    if not actor.is_admin:
        throttle.take(name, actor.user_id or "")
