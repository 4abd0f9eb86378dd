from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.db import Base
from portal.core.types import CreatedAt


class Change(Base):
    """A published change: what its entry in the log leaves out, above all the reason's words.

    Limits, title and instants are read from the entry: one number, one source.
    """

    __tablename__ = "changes"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)
    entry_seq: Mapped[int] = mapped_column(BigInteger, ForeignKey("log_entries.seq"), unique=True)
    created_by: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[CreatedAt]
