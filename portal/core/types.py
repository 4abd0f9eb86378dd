"""Column types that every slice shares."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import DateTime, Dialect, Enum, String
from sqlalchemy.orm import mapped_column
from sqlalchemy.types import TypeDecorator

from portal.core import clock


class UtcDateTimeType(TypeDecorator[datetime]):
    """An instant. Refuses naive values, and hands back aware UTC on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """For whoever reads a value back from text, as a cursor does."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the database")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        instant: datetime = value
        # SQLite keeps no offset; what was written there was UTC.
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def enum_column(kind: type[StrEnum]) -> Enum:
    """A closed set, stored by value as text with a check constraint."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=True,
        values_callable=lambda members: [member.value for member in members],
        validate_strings=True,
        length=32,
    )


PublicId = Annotated[str, mapped_column(String(40), primary_key=True)]
UtcDateTime = Annotated[datetime, mapped_column(UtcDateTimeType())]
CreatedAt = Annotated[datetime, mapped_column(UtcDateTimeType(), default=clock.now)]
