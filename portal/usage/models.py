"""Times are whole Unix seconds, as gateways send them: of the start of a minute, an hour, a day in UTC.

There are no foreign keys: on PostgreSQL a row that points at a key holds up whoever locks that key to
revoke it. `org_id` leads every primary key, so that one organisation's figures lie together.
"""

from sqlalchemy import JSON, BigInteger, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt, PublicId

MODEL_MAX = 64
NAME_MAX = 160
ID_MAX = 40


class Counts:
    """What is counted, net of settlement: a later minute may hold less than nothing."""

    requests: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)


class UsageMinute(Counts, Base):
    """Fresh figures of an organisation per model; packed when the hour is over."""

    __tablename__ = "usage_minutes"
    __table_args__ = (Index("ix_usage_minutes_minute", "minute"),)

    org_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    model: Mapped[str] = mapped_column(String(MODEL_MAX), primary_key=True)
    minute: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class MinutePack(Base):
    """The minutes of one hour in one value (`packing`): a tenth of the room that rows take."""

    __tablename__ = "usage_minute_packs"
    __table_args__ = (Index("ix_usage_minute_packs_hour", "hour"),)

    org_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    model: Mapped[str] = mapped_column(String(MODEL_MAX), primary_key=True)
    hour: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    counts: Mapped[bytes] = mapped_column(LargeBinary)


class UsageHour(Counts, Base):
    """Fresh figures of a key per model; packed when the day is over."""

    __tablename__ = "usage_hours"
    __table_args__ = (Index("ix_usage_hours_hour", "hour"),)

    org_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    model: Mapped[str] = mapped_column(String(MODEL_MAX), primary_key=True)
    hour: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class HourPack(Counts, Base):
    """The hours of one day in one value, and their sums: a month of a hundred keys is added up by the database."""

    __tablename__ = "usage_hour_packs"
    __table_args__ = (Index("ix_usage_hour_packs_day", "day"),)

    org_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    model: Mapped[str] = mapped_column(String(MODEL_MAX), primary_key=True)
    day: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    counts: Mapped[bytes] = mapped_column(LargeBinary)


class UsageDay(Counts, Base):
    """Figures of a whole organisation. `used_at`: when the first admitted request was reported."""

    __tablename__ = "usage_days"
    __table_args__ = (
        Index("ix_usage_days_used_at", "used_at"),
        Index("ix_usage_days_day", "day"),
    )

    org_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    day: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    used_at: Mapped[int | None] = mapped_column(BigInteger)


class RefusedHour(Base):
    """How often a limit (or what else refuses, by its code) refused a key in an hour."""

    __tablename__ = "usage_refused_hours"
    __table_args__ = (Index("ix_usage_refused_hours_hour", "hour"),)

    org_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_MAX), primary_key=True)
    hour: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)


class MeterCounter(Base):
    """A gateway's own counter of a limit, as it last stood there.

    `owner`: the organisation, or for a cap the first key of its lineage. `full_at` of buckets,
    `resets_at` of windows, neither of requests in flight.
    """

    __tablename__ = "usage_counters"
    __table_args__ = (
        Index("ix_usage_counters_org_id", "org_id"),
        Index("ix_usage_counters_at", "at"),
    )

    gateway_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    owner: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_MAX), primary_key=True)
    org_id: Mapped[str] = mapped_column(String(ID_MAX))
    used: Mapped[int] = mapped_column(BigInteger)
    quota: Mapped[int] = mapped_column(BigInteger)
    full_at: Mapped[int | None] = mapped_column(BigInteger)
    resets_at: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[int] = mapped_column(BigInteger)
    is_shared: Mapped[bool]


class UsageCursor(Base):
    """The last batch that was taken of each gateway: what makes ingest exactly once."""

    __tablename__ = "usage_cursors"

    gateway_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    boot: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[CreatedAt]


class RefusedBatch(Base):
    """A batch that was not added, and the row that is to blame; None where it is no row."""

    __tablename__ = "usage_refused_batches"

    gateway_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    boot: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    row: Mapped[int | None]
    code: Mapped[str] = mapped_column(String(40))
    at: Mapped[CreatedAt]


class AlertRules(Base):
    """When an organisation wants to be warned: percentages of a limit. No row: the usual ones, by mail, too."""

    __tablename__ = "usage_alert_rules"

    org_id: Mapped[str] = mapped_column(String(ID_MAX), primary_key=True)
    thresholds: Mapped[list[int]] = mapped_column(JSON)
    by_mail: Mapped[bool]


class UsageWarning(Base):
    """That use reached a percentage of a limit. One for each threshold and window, which ends at `until`."""

    __tablename__ = "usage_warnings"
    __table_args__ = (
        UniqueConstraint("org_id", "name", "threshold", "until"),
        Index("ix_usage_warnings_at", "at"),
    )

    id: Mapped[PublicId]
    org_id: Mapped[str] = mapped_column(String(ID_MAX))
    name: Mapped[str] = mapped_column(String(NAME_MAX))
    threshold: Mapped[int]
    until: Mapped[int] = mapped_column(BigInteger)
    used: Mapped[int] = mapped_column(BigInteger)
    quota: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[int] = mapped_column(BigInteger)
