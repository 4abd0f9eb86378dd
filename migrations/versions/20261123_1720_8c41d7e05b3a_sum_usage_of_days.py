"""Sums beside the packed hours of a day.

Why: a month of an organisation with a hundred keys was unpacked number by number for one page; now the
database adds it up.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "8c41d7e05b3a"
down_revision = "564e0603d2f7"
branch_labels = None
depends_on = None

SUMS = ("requests", "refused", "input_tokens", "output_tokens")
OWNER = ("org_id", "key_id", "model", "day")
CHUNK = 1000

PACKS = sa.table("usage_hour_packs", *map(sa.column, (*OWNER, "counts", *SUMS)))


def upgrade() -> None:
    with op.batch_alter_table("usage_hour_packs", schema=None) as batch_op:
        for name in SUMS:
            batch_op.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
    _fill(op.get_bind())
    with op.batch_alter_table("usage_hour_packs", schema=None) as batch_op:
        for name in SUMS:
            batch_op.alter_column(name, existing_type=sa.BigInteger(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("usage_hour_packs", schema=None) as batch_op:
        for name in SUMS:
            batch_op.drop_column(name)


def _fill(connection: sa.Connection) -> None:
    """Add up what is packed already, so many rows at a time."""
    owner = [PACKS.c[name] for name in OWNER]
    waiting = sa.select(*owner, PACKS.c.counts).where(PACKS.c.requests.is_(None)).limit(CHUNK)
    fill = sa.update(PACKS).where(*(PACKS.c[name] == sa.bindparam(f"is_{name}") for name in OWNER))
    while rows := connection.execute(waiting).all():
        values = [
            dict(zip(SUMS, _sums(row.counts), strict=True))
            | {f"is_{name}": getattr(row, name) for name in OWNER}
            for row in rows
        ]
        connection.execute(fill, values)


def _sums(packed: bytes) -> Iterator[int]:
    """What `portal.usage.packing` wrote at the time: a mask of figures, one of slots, numbers of seven bits."""
    mask, *numbers = _numbers(packed[1:])
    count = mask.bit_count()
    for place in range(len(SUMS)):
        column = []
        if packed[0] >> place & 1:
            column, numbers = numbers[:count], numbers[count:]
        yield sum(-((each + 1) >> 1) if each & 1 else each >> 1 for each in column)


def _numbers(packed: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
