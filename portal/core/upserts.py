"""Many rows in one statement, added to what is there, on either database.

Past the ORM, whose statement of a thousand rows takes longer to write than to run: PostgreSQL is handed
one JSON text, SQLite one prepared statement. Rows are sorted, so that two gateways' batches never wait
for each other in a circle.
"""

import functools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Column, Select, String, Table, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from portal.core.db import Base
from portal.core.types import UtcDateTimeType

# What a second batch does to a column of the row that is there; the others are replaced.
ADDED = frozenset({"requests", "refused", "input_tokens", "output_tokens", "count"})
KEPT = frozenset({"used_at"})

Values = tuple[Any, ...]


def upsert(
    session: Session, model: type[Base], rows: Iterable[Values], *, newer: str | None = None
) -> None:
    """Add rows, each with the values of all columns in the table's order and no primary key twice.

    What is there gives way only to a row whose column `newer` is higher, where one is named.
    """
    values = sorted(rows)  # by the primary key, which no two of them share
    if not values:
        return
    dialect = session.get_bind().dialect.name
    statement = _statement(model, dialect, newer)
    connection = session.connection()
    if dialect == "postgresql":
        connection.exec_driver_sql(statement, (_json(values),))
    else:
        connection.exec_driver_sql(statement, _for_sqlite(model, values))


def remove(session: Session, model: type[Base], keys: Iterable[Values]) -> None:
    """Delete rows by their primary keys, in the same order as rows are added."""
    table, values = table_of(model), sorted(keys)
    names = [column.name for column in table.primary_key.columns]
    connection = session.connection()
    if session.get_bind().dialect.name == "postgresql":
        lines = ", ".join(
            _cast(column, place) for place, column in enumerate(table.primary_key.columns)
        )
        statement = (
            f"DELETE FROM {table.name} WHERE ({', '.join(names)}) IN"  # noqa: S608 -- our own names
            f" (SELECT {lines} FROM jsonb_array_elements(%s::jsonb) AS line)"
        )
        connection.exec_driver_sql(statement, (_json(values),))
    elif values:
        where = " AND ".join(f"{name} = ?" for name in names)
        connection.exec_driver_sql(f"DELETE FROM {table.name} WHERE {where}", values)  # noqa: S608 -- our own names


def listed(session: Session, texts: Iterable[str]) -> Select[str]:
    """Texts to look for with `IN`, handed over as one: spelt out, a thousand take longer to send than to find."""
    text = cast(_json(sorted(texts)), String)
    if session.get_bind().dialect.name == "postgresql":
        return select(func.jsonb_array_elements_text(cast(text, JSONB)).column_valued())
    return select(func.json_each(text).table_valued("value").c.value)


def table_of(model: type[Base]) -> Table:
    """The table of a class, past the ORM."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 -- SQLAlchemy types it more widely
    return table


@functools.cache
def _statement(model: type[Base], dialect: str, newer: str | None) -> str:
    table = table_of(model)
    columns = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key.columns]
    assert columns[: len(keys)] == keys, "the primary key comes first"  # noqa: S101 -- a mistake of ours
    updates = ", ".join(
        f"{each} = {_update(table.name, each)}" for each in columns if each not in keys
    )
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) {_source(table, dialect)}"
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates}"
        + (f" WHERE {table.name}.{newer} < excluded.{newer}" if newer else "")
    )


def _update(table: str, column: str) -> str:
    if column in ADDED:
        return f"{table}.{column} + excluded.{column}"
    if column in KEPT:
        return f"COALESCE({table}.{column}, excluded.{column})"
    return f"excluded.{column}"


def _source(table: Table, dialect: str) -> str:
    if dialect == "sqlite":
        return f"VALUES ({', '.join('?' * len(table.columns))})"
    casts = ", ".join(_cast(column, place) for place, column in enumerate(table.columns))
    return f"SELECT {casts} FROM jsonb_array_elements(%s::jsonb) AS line"  # noqa: S608 -- our own names


def _cast(column: Column[Any], place: int) -> str:
    value = f"line ->> {place}"
    if isinstance(column.type, UtcDateTimeType):
        return f"({value})::timestamptz"
    if column.type.python_type is bytes:
        return f"decode({value}, 'hex')"
    return f"({value})::{_TYPES[column.type.python_type]}"


_TYPES = {str: "text", int: "bigint", bool: "boolean"}


def _for_sqlite(model: type[Base], values: list[Values]) -> list[Values]:
    """Instants as SQLAlchemy writes them there: as text in UTC without an offset."""
    columns = table_of(model).columns
    places = [place for place, each in enumerate(columns) if isinstance(each.type, UtcDateTimeType)]
    for place in places:
        values = [(*row[:place], _plain(row[place]), *row[place + 1 :]) for row in values]
    return values


@functools.lru_cache(maxsize=1024)
def _plain(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _json(values: Sequence[Any]) -> str:
    return orjson.dumps(values, default=bytes.hex).decode()
