from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base, Touched, Touching
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column


class Environment(StrEnum):
    LIVE = "live"
    TEST = "test"


class KeyState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    EXPIRED = "expired"
    REVOKED = "revoked"


LIVE_ROWS = text("revoked_at IS NULL AND superseded_at IS NULL")


class ApiKey(Touching, Base):
    """An API key. The secret is shown once; what is kept is its SHA-256, its beginning and its end.

    `models` and `networks`: None = any. A live key's name is unique in its organisation, whatever the case.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        Index(
            "uq_api_keys_org_id_name_folded",
            "org_id",
            "name_folded",
            unique=True,
            sqlite_where=LIVE_ROWS,
            postgresql_where=LIVE_ROWS,
        ),
    )

    id: Mapped[PublicId]
    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    name_folded: Mapped[str] = mapped_column(String(240))  # one may fold to three: "ΐ"
    prefix: Mapped[str] = mapped_column(String(40))
    last_four: Mapped[str] = mapped_column(String(4))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    environment: Mapped[Environment] = mapped_column(enum_column(Environment))
    lineage: Mapped[str] = mapped_column(String(40))
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    networks: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    caps: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    created_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[UtcDateTime | None]
    paused_at: Mapped[UtcDateTime | None]
    superseded_at: Mapped[UtcDateTime | None]
    revoked_at: Mapped[UtcDateTime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(40))
    revoked_reason: Mapped[str | None] = mapped_column(String(500))

    def touches(self) -> list[Touched]:
        return [("key", self.id)]

    def state(self, at: datetime) -> KeyState:
        """The state at an instant; time alone decides expired (EXACT 2)."""
        if self.revoked_at:
            return KeyState.REVOKED
        if self.expires_at and self.expires_at <= at:
            return KeyState.EXPIRED
        return KeyState.PAUSED if self.paused_at else KeyState.ACTIVE
