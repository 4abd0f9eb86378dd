from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base, Touched, Touching

CHECKPOINT_ID = "log"


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

    `size` entries are signed, with `root` (64 hex digits); `text` is their checkpoint, None before
    the first; `trouble` says why the signer signs nothing more.
    """

    __tablename__ = "log_checkpoint"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[str] = mapped_column(String(64))
    text: Mapped[str | None] = mapped_column(Text)
    trouble: Mapped[str | None] = mapped_column(Text)

    def touches(self) -> list[Touched]:
        return [("checkpoint", CHECKPOINT_ID)] if self.text else []
