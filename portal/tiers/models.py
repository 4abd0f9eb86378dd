from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base, Touched, Touching
from portal.core.types import CreatedAt


class TierAssignment(Touching, Base):
    """One step in an organisation's history of tiers; the highest number is the tier it holds."""

    __tablename__ = "tier_assignments"

    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tier: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(String(500))
    assigned_by: Mapped[str | None] = mapped_column(String(40))
    assigned_at: Mapped[CreatedAt]

    def touches(self) -> list[Touched]:
        return [("org", self.org_id)]
