from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts.models import EMAIL_MAX
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


class OrgSlug(Base):
    """A slug that an organisation has or had. Nobody else gets it: old addresses lead to where it moved."""

    __tablename__ = "org_slugs"

    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), primary_key=True, unique=True)
    created_at: Mapped[CreatedAt]


class Membership(Base):
    """A person's role in an organisation. Who leaves has no row any more; the journal keeps that they had one."""

    __tablename__ = "memberships"

    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[Role] = mapped_column(enum_column(Role))
    created_at: Mapped[CreatedAt]


class Invitation(Base):
    """A mailed link that makes whoever holds the mailbox a member, once; only the token's digest is stored.

    `sent_by`: who answers for it. Where they lose the right to invite so, their open invitations end.
    """

    __tablename__ = "invitations"

    id: Mapped[PublicId]
    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"))
    email: Mapped[str] = mapped_column(String(EMAIL_MAX))
    role: Mapped[Role] = mapped_column(enum_column(Role))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    sent_by: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[CreatedAt]
    sent_at: Mapped[CreatedAt]
    expires_at: Mapped[UtcDateTime]
    accepted_at: Mapped[UtcDateTime | None]
    accepted_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    revoked_at: Mapped[UtcDateTime | None]

    # One open invitation to an address: two at once would otherwise be two links with two roles.
    __table_args__ = (
        Index(
            "uq_invitations_open",
            "org_id",
            func.lower(email),
            unique=True,
            sqlite_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
    )
