from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column
from portal.orgs.models import Role

LIVE_ROWS = text("revoked_at IS NULL")


class AccessToken(Base):
    """A person's token (`user_id`), or an organisation's with a role of its own (`org_id`, `role`).

    The secret is shown once; what is kept is its SHA-256, its beginning and its end. A live token's name is
    unique among those of its person or organisation, whatever the case.
    """

    __tablename__ = "access_tokens"
    __table_args__ = (
        CheckConstraint(
            "(user_id IS NULL) <> (org_id IS NULL) AND (org_id IS NULL) = (role IS NULL)",
            name="holder",
        ),
        Index(
            "uq_access_tokens_user_id_name_folded",
            "user_id",
            "name_folded",
            unique=True,
            sqlite_where=LIVE_ROWS,
            postgresql_where=LIVE_ROWS,
        ),
        Index(
            "uq_access_tokens_org_id_name_folded",
            "org_id",
            "name_folded",
            unique=True,
            sqlite_where=LIVE_ROWS,
            postgresql_where=LIVE_ROWS,
        ),
    )

    id: Mapped[PublicId]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), index=True)
    org_id: Mapped[str | None] = mapped_column(ForeignKey("orgs.id"), index=True)
    role: Mapped[Role | None] = mapped_column(enum_column(Role))
    name: Mapped[str] = mapped_column(String(80))
    name_folded: Mapped[str] = mapped_column(String(240))  # one may fold to three: "ΐ"
    scopes: Mapped[list[str]] = mapped_column(JSON)
    prefix: Mapped[str] = mapped_column(String(40))
    last_four: Mapped[str] = mapped_column(String(4))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[UtcDateTime | None]
    used_at: Mapped[UtcDateTime | None]
    revoked_at: Mapped[UtcDateTime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(40))

    def is_over(self, at: datetime) -> bool:
        """Whether its time is over; at the instant of its end it is (EXACT 2)."""
        return self.expires_at is not None and self.expires_at <= at
