from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId, UtcDateTime

ENROLLED = text("removed_at IS NULL")


class Gateway(Base):
    """An enforcement point, and what it last said of itself."""

    __tablename__ = "gateways"
    __table_args__ = (
        Index(
            "uq_gateways_name",
            "name",
            unique=True,
            sqlite_where=ENROLLED,
            postgresql_where=ENROLLED,
        ),
    )

    id: Mapped[PublicId]
    name: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[CreatedAt]
    removed_at: Mapped[UtcDateTime | None]
    seen_at: Mapped[UtcDateTime | None]
    acknowledged: Mapped[int | None] = mapped_column(BigInteger)
    health: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    nacks: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)


class GatewayToken(Base):
    """A gateway's credential; two may be valid at once while it is rotated."""

    __tablename__ = "gateway_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateways.id"), index=True)
    created_at: Mapped[CreatedAt]
    ends_at: Mapped[UtcDateTime | None]


class SyncAck(Base):
    """When a gateway first said that it holds everything up to a revision."""

    __tablename__ = "sync_ack"

    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateways.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    received_at: Mapped[CreatedAt]
