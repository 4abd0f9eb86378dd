from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Date, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column


class State(StrEnum):
    """Where a request stands; policy.STEPS says what may come next."""

    SUBMITTED = "submitted"
    IN_REVIEW = "in review"
    QUESTION_ASKED = "question asked"
    ANSWERED = "answered"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


OPEN_ROWS = text("closed_at IS NULL")


class UpgradeRequest(Base):
    """An organisation's request for a tier. At most one for the same tier is open.

    `expected`: the use expected, a list of {model, metric, kind, period, amount}. `moved_by` and
    `moved_at`: who took the last step and when; `steps` counts them, so that an act finds out
    whether somebody else was quicker. `reason`: of the decision, or of the withdrawal.
    """

    __tablename__ = "upgrade_requests"
    __table_args__ = (
        Index(
            "uq_upgrade_requests_org_id_tier",
            "org_id",
            "tier",
            unique=True,
            sqlite_where=OPEN_ROWS,
            postgresql_where=OPEN_ROWS,
        ),
        Index("ix_upgrade_requests_closed_at", "closed_at"),
    )

    id: Mapped[PublicId]
    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), index=True)
    tier: Mapped[str] = mapped_column(String(40))
    state: Mapped[State] = mapped_column(enum_column(State), default=State.SUBMITTED)
    purpose: Mapped[str] = mapped_column(Text)
    expected: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    wanted_on: Mapped[date] = mapped_column(Date)
    contact: Mapped[str] = mapped_column(String(320))
    created_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    steps: Mapped[int] = mapped_column(default=1)
    moved_by: Mapped[str | None] = mapped_column(String(40))
    moved_at: Mapped[UtcDateTime]
    closed_at: Mapped[UtcDateTime | None]
    reason: Mapped[str | None] = mapped_column(String(500))

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


class UpgradeMessage(Base):
    """A question of the staff about a request, or the organisation's answer."""

    __tablename__ = "upgrade_messages"

    id: Mapped[PublicId]
    request_id: Mapped[str] = mapped_column(ForeignKey("upgrade_requests.id"), index=True)
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    is_staff: Mapped[bool]
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
