from enum import StrEnum

from sqlalchemy import Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import PublicId, UtcDateTime, enum_column

OPEN = text("closed_at IS NULL")
TEXT_MAX = 300


class Kind(StrEnum):
    """What may be wrong. The value names it in mails' links, in `/metrics` and in the docs."""

    GATEWAY_LOST = "gateway_lost"
    GATEWAY_DIVERGED = "gateway_diverged"
    LOG_FORKED = "log_forked"
    LOG_REFUSED = "log_refused"
    SPOOL_GROWING = "spool_growing"
    SIGNING_STOPPED = "signing_stopped"
    OUTBOX_STUCK = "outbox_stuck"
    JOB_FAILING = "job_failing"


class Alert(Base):
    """One thing that is or was wrong, with one subject: a gateway's id, a job's name, or "" where there is one only.

    `since`: when it was first seen. `opened_at`: when it had lasted long enough to be told; None before.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "uq_alerts_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
        Index("ix_alerts_closed_at", "closed_at"),
    )

    id: Mapped[PublicId]
    kind: Mapped[Kind] = mapped_column(enum_column(Kind))
    subject: Mapped[str] = mapped_column(String(40))
    # The subject as people call it; it stays readable when a gateway is gone.
    name: Mapped[str] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(String(TEXT_MAX))
    since: Mapped[UtcDateTime]
    opened_at: Mapped[UtcDateTime | None]
    closed_at: Mapped[UtcDateTime | None]
    told: Mapped[int] = mapped_column(Integer, default=0)


class AlertWatch(Base):
    """The one row that says when the jobs last looked, and since when they have looked without a gap."""

    __tablename__ = "alert_watch"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    looked_at: Mapped[UtcDateTime | None]
    since: Mapped[UtcDateTime | None]


class FailingJob(Base):
    """A job whose last run raised. The row goes with the next run that does not."""

    __tablename__ = "failing_jobs"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    since: Mapped[UtcDateTime]
    failed_at: Mapped[UtcDateTime]
    text: Mapped[str] = mapped_column(String(TEXT_MAX))
