from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from plimsoll.contract.limits import ALL_MODELS
from portal.core.db import Base, Touched, Touching
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column
from portal.orgs.models import Role


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
    `caps`: as they go over the wire. A rotated key is superseded, and works until its `expires_at`;
    `lineage` is the first key of its rotations, and owns the counters of caps.
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
        Index("ix_api_keys_lineage", "lineage"),
        CheckConstraint("(created_by IS NULL) <> (token_id IS NULL)", name="issuer"),
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
    created_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    # Issued by an organisation's access token, which goes on when whoever made it has left.
    token_id: Mapped[str | None] = mapped_column(ForeignKey("access_tokens.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[UtcDateTime | None]
    # When to tell people next that the end is near; looked for after each commit.
    remind_at: Mapped[UtcDateTime | None] = mapped_column(index=True)
    paused_at: Mapped[UtcDateTime | None]
    superseded_at: Mapped[UtcDateTime | None]
    successor_id: Mapped[str | None] = mapped_column(String(40))
    revoked_at: Mapped[UtcDateTime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(40))
    revoked_reason: Mapped[str | None] = mapped_column(String(500))

    def touches(self) -> list[Touched]:
        return [("key", self.id)]

    def may_call(self, model: str) -> bool:
        """Whether its own list lets it call a model; `ALL_MODELS` stands for whichever it may."""
        return self.models is None or model in {ALL_MODELS, *self.models}

    def state(self, at: datetime) -> KeyState:
        """The state at an instant; time alone decides expired (EXACT 2)."""
        if self.revoked_at:
            return KeyState.REVOKED
        if self.expires_at and self.expires_at <= at:
            return KeyState.EXPIRED
        return KeyState.PAUSED if self.paused_at else KeyState.ACTIVE


class KeyLastUse(Base):
    """When a key was last used, and at which gateway.

    A table of its own, without a foreign key, since its check would lock the key's row until the end of the
    transaction that takes in what gateways report: a revocation would wait for it.
    """

    __tablename__ = "key_last_use"

    key_id: Mapped[PublicId]
    at: Mapped[UtcDateTime]
    gateway: Mapped[str] = mapped_column(String(80))


class KeyRules(Base):
    """What an organisation asks of its own keys. No row: nothing beyond the table of permissions.

    `max_days`: the longest life of a key issued from now on. `issuers`: the lowest role that may issue.
    """

    __tablename__ = "key_rules"
    __table_args__ = (CheckConstraint("max_days BETWEEN 1 AND 3660", name="max_days"),)

    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    max_days: Mapped[int | None]
    expiry_required: Mapped[bool] = mapped_column(default=False)
    issuers: Mapped[Role] = mapped_column(enum_column(Role), default=Role.DEVELOPER)
    pause_leaked: Mapped[bool] = mapped_column(default=False)


class KeyLeak(Base):
    """That a scanner found a key's secret in public. One row for each place."""

    __tablename__ = "key_leaks"
    __table_args__ = (UniqueConstraint("key_id", "url"),)

    id: Mapped[PublicId]
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    url: Mapped[str] = mapped_column(String(1000))
    source: Mapped[str] = mapped_column(String(40))
    reported_at: Mapped[CreatedAt]
