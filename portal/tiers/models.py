from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Row, String, text
from sqlalchemy.orm import Mapped, mapped_column

from plimsoll.contract import adjustments
from plimsoll.contract.limits import Period
from portal.core.db import Base, Touched, Touching
from portal.core.types import CreatedAt, PublicId, UtcDateTime, enum_column


class AssignmentKind(StrEnum):
    """What put an organisation on a tier; automatic promotion never goes past a manual decision."""

    START = "start"
    MANUAL = "manual"
    AUTOMATIC = "automatic"
    REQUEST = "request"


class TierAssignment(Touching, Base):
    """One step in an organisation's history of tiers; the highest number is the tier it holds."""

    __tablename__ = "tier_assignments"

    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tier: Mapped[str] = mapped_column(String(40))
    kind: Mapped[AssignmentKind] = mapped_column(enum_column(AssignmentKind))
    reason: Mapped[str] = mapped_column(String(500))
    assigned_by: Mapped[str | None] = mapped_column(String(40))
    assigned_at: Mapped[CreatedAt]

    def touches(self) -> list[Touched]:
        return [("org", self.org_id)]


OPEN_ROWS = text("cancelled_at IS NULL AND done_at IS NULL")


class TierMove(Base):
    """A move to another tier at a date. At most one of an organisation is open; a job carries it out.

    `remind_at`: when the owners are next reminded; None when there is nothing more to remind of.
    """

    __tablename__ = "tier_moves"
    __table_args__ = (
        Index(
            "uq_tier_moves_org_id",
            "org_id",
            unique=True,
            sqlite_where=OPEN_ROWS,
            postgresql_where=OPEN_ROWS,
        ),
    )

    id: Mapped[PublicId]
    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), index=True)
    tier: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(String(500))
    for_abuse: Mapped[bool] = mapped_column(default=False)
    effective_at: Mapped[UtcDateTime]
    placed_by: Mapped[str | None] = mapped_column(String(40))
    placed_at: Mapped[CreatedAt]
    remind_at: Mapped[UtcDateTime | None]
    cancelled_at: Mapped[UtcDateTime | None]
    cancelled_by: Mapped[str | None] = mapped_column(String(40))
    cancelled_reason: Mapped[str | None] = mapped_column(String(500))
    done_at: Mapped[UtcDateTime | None]

    @property
    def is_open(self) -> bool:
        return self.cancelled_at is None and self.done_at is None


class Grant(Touching, Base):
    """A raise of one limit for one organisation, in force for `starts_at` ≤ t < `ends_at`.

    `ended_at` takes it off the record that gateways hold: before its end by somebody's act, after it
    by a job that only tidies up, since gateways know the end themselves. `remind_at` is as with a move.
    """

    __tablename__ = "grants"
    __table_args__ = (
        Index("ix_grants_ended_at_ends_at", "ended_at", "ends_at"),
        CheckConstraint("starts_at < ends_at", name="ends_after_its_start"),
        CheckConstraint("quota > 0", name="raises"),
    )

    id: Mapped[PublicId]
    org_id: Mapped[str] = mapped_column(ForeignKey("orgs.id"), index=True)
    model: Mapped[str] = mapped_column(String(40))
    metric: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(16))
    period: Mapped[str | None] = mapped_column(String(10))
    quota: Mapped[int] = mapped_column(BigInteger)
    burst: Mapped[int | None] = mapped_column(BigInteger)
    starts_at: Mapped[UtcDateTime]
    ends_at: Mapped[UtcDateTime]
    reason: Mapped[str] = mapped_column(String(500))
    created_by: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[CreatedAt]
    remind_at: Mapped[UtcDateTime | None]
    ended_at: Mapped[UtcDateTime | None]
    ended_by: Mapped[str | None] = mapped_column(String(40))
    ended_reason: Mapped[str | None] = mapped_column(String(500))

    def touches(self) -> list[Touched]:
        return [("org", self.org_id)]

    @property
    def raises(self) -> adjustments.Grant:
        """The same as gateways read it (EXACT 12)."""
        return raise_of(self)

    def state(self, at: datetime) -> "GrantState":
        """The state at an instant: time alone decides all but an early end."""
        if self.ended_at is not None and self.ended_at < self.ends_at:
            return GrantState.ENDED
        if at >= self.ends_at:
            return GrantState.OVER
        return GrantState.PLANNED if at < self.starts_at else GrantState.IN_FORCE


class GrantState(StrEnum):
    PLANNED = "planned"
    IN_FORCE = "in force"
    OVER = "over"
    ENDED = "ended early"


def raise_of(row: "Grant | Row[*tuple[Any, ...]]") -> adjustments.Grant:
    """The grant in a row of the table, of all its columns or of those that gateways hear of."""
    period: Period = None
    if row.period is not None:
        period = "month" if row.period == "month" else int(row.period)
    return adjustments.Grant(
        id=row.id,
        model=row.model,
        metric=row.metric,
        kind=row.kind,
        period=period,
        quota=row.quota,
        burst=row.burst,
        starts_at=int(row.starts_at.timestamp()),
        ends_at=int(row.ends_at.timestamp()),
    )
