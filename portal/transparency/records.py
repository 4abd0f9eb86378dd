"""The records of the log for gateways: each entry, and the newest checkpoint (SYNC 1)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract import canonical
from plimsoll.contract.records import CheckpointRecord
from portal.transparency.models import CHECKPOINT_ID, LogEntry, LogHead


def build_entry_records(
    session: Session, ids: Collection[str] | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The `entry` records; what is sent is the leaf to the byte, since both are canonical."""
    query = select(LogEntry.seq, LogEntry.text).order_by(LogEntry.seq)
    if ids is not None:
        query = query.where(LogEntry.seq.in_([int(seq) for seq in ids]))
    for seq, text in session.execute(query):
        yield str(seq), canonical.decode(text)


def build_checkpoint_records(
    session: Session,
    ids: Collection[str] | None,  # noqa: ARG001 -- there is one
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The `checkpoint` record, none before the first signature."""
    text = session.scalar(select(LogHead.text))
    if text is not None:
        yield CHECKPOINT_ID, CheckpointRecord(text=text).to_wire()
