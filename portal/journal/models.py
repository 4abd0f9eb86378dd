from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId


class Event(Base):
    """One act. `tag` is `subject:object:verb`, such as `org:key:issued`."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_org", "org_id", "at"),
        Index("ix_events_subject", "subject_id"),
    )

    id: Mapped[PublicId]
    at: Mapped[CreatedAt]
    tag: Mapped[str] = mapped_column(String(64))
    actor_id: Mapped[str | None] = mapped_column(String(40))
    actor_name: Mapped[str] = mapped_column(String(320))
    via: Mapped[str] = mapped_column(String(8))
    ip: Mapped[str | None] = mapped_column(String(45))
    org_id: Mapped[str | None] = mapped_column(String(40))
    subject_id: Mapped[str | None] = mapped_column(String(40))
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
