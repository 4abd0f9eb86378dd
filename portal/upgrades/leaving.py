from sqlalchemy import update
from sqlalchemy.orm import Session

from portal.upgrades.models import UpgradeRequest


def forget_contact(session: Session, *, user_id: str, words: str) -> None:
    """Put words in the place of the address that a person who is gone gave with their requests."""
    asked = update(UpgradeRequest).where(UpgradeRequest.created_by == user_id)
    session.execute(asked.values(contact=words))
