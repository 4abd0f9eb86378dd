from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base, Touched, Touching
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column


class Role(StrEnum):
    OWNER = "owner"
    MANAGER = "manager"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class Org(Touching, Base):
    """An organisation: owns keys, holds one tier, has members."""

    __tablename__ = "orgs"

    id: Mapped[PublicId]
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    # Whose age has just reached what a tier requires is looked for after each commit.
    created_at: Mapped[CreatedAt] = mapped_column(index=True)
    suspended_at: Mapped[UtcDateTime | None]
    suspended_reason: Mapped[str | None] = mapped_column(String(500))

    def touches(self) -> list[Touched]:
        return [("org", self.id)]


class Membership(Base):
    """A person's role in an organisation."""

    __tablename__ = "memberships"

    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[Role] = mapped_column(enum_column(Role))
    created_at: Mapped[CreatedAt]
