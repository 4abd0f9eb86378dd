from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId, UtcDateTime

WITH_ADDRESS = text("ip IS NOT NULL")


class Event(Base):
    """One act. `tag` is `subject:object:verb`, such as `org:key:issued`.

    `hash` is over everything but who the person is: `actor_name`, `ip` and `personal` stand outside, so that
    they can be erased. `previous` is the hash of the row before in the same chain.
    """

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("chain", "seq"),
        Index("ix_events_chain_actor", "chain", "actor_id", "seq"),
        Index("ix_events_subject", "subject_id"),
        Index("ix_events_actor", "actor_id"),
        Index("ix_events_address", "at", sqlite_where=WITH_ADDRESS, postgresql_where=WITH_ADDRESS),
    )

    id: Mapped[PublicId]
    chain: Mapped[str] = mapped_column(String(40))
    seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[UtcDateTime]
    tag: Mapped[str] = mapped_column(String(64))
    actor_id: Mapped[str | None] = mapped_column(String(40))
    is_staff: Mapped[bool]
    via: Mapped[str] = mapped_column(String(8))
    org_id: Mapped[str | None] = mapped_column(String(40))
    subject_id: Mapped[str | None] = mapped_column(String(40))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
    actor_name: Mapped[str] = mapped_column(String(320))
    ip: Mapped[str | None] = mapped_column(String(45))
    personal: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    @property
    def told(self) -> dict[str, Any]:
        """All that the row says of the act, with what can be erased and is not."""
        return self.details | (self.personal or {})


class JournalHead(Base):
    """Where a chain ends. Each organisation has one of its own; all else stands in the portal's.

    Locked as the last step of a transaction: so that two at once cannot follow the same row.
    """

    __tablename__ = "journal_heads"

    chain: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[CreatedAt]
