from enum import StrEnum

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base, Touched, Touching
from portal.core.types import UtcDateTime, enum_column

CHECKPOINT_ID = "log"


class Trouble(StrEnum):
    """What kind of thing keeps the signer from signing: it decides what mends it."""

    # The database is older than what was signed: `log recover`.
    BEHIND = "behind"
    # An entry breaks the rule, or was not signed within the hour: `log discard`.
    REFUSED = "refused"
    # The key is missing, damaged or another one.
    KEY = "key"
    # What was signed is not what the database holds now.
    ALTERED = "altered"
    # secrets/log.state cannot be read.
    FILE = "file"


class LogEntry(Touching, Base):
    """One entry. `text` is its canonical JSON, the leaf to the byte; the rest is for queries.

    Triggers refuse every UPDATE, the DELETE of a signed entry, and an INSERT out of order.
    """

    __tablename__ = "log_entries"

    seq: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    at: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text)

    def touches(self) -> list[Touched]:
        return [("entry", str(self.seq))]


class LogHead(Touching, Base):
    """The one row that whoever appends or signs locks.

    `size` entries are signed, with `root` (64 hex digits); `text` is their checkpoint, made at
    `signed_at`, None before the first; `trouble` says why the signer signs nothing more.
    """

    __tablename__ = "log_checkpoint"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[str] = mapped_column(String(64))
    text: Mapped[str | None] = mapped_column(Text)
    signed_at: Mapped[UtcDateTime | None]
    trouble: Mapped[str | None] = mapped_column(Text)
    trouble_kind: Mapped[Trouble | None] = mapped_column(enum_column(Trouble))

    def touches(self) -> list[Touched]:
        return [("checkpoint", CHECKPOINT_ID)] if self.text else []
