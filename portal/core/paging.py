"""Pages by cursor: a page costs the same wherever it stands, given an index over the columns of the order.

    order = Order(Thread.active_at, Thread.number)
    page = fetch_page(session, select(Thread), order=order, cursor=request.args.get("page"), size=25)

The last column of an order is unique, and none is ever NULL. A cursor holds the values of a row at the
edge of a page, so that rows which come or go meanwhile shift nothing.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import BigInteger, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.core.errors import Invalid

T = TypeVar("T")
U = TypeVar("U")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
CURSOR_MAX = 500


class BadCursor(Invalid):
    code = "bad_cursor"
    public = "This address names no page of the list. Start from its first page."


class Order:
    """The columns that a list is sorted by, all in one direction: `descending` is newest first."""

    def __init__(self, *columns: InstrumentedAttribute[Any], descending: bool = True) -> None:
        self.columns = columns
        self.descending = descending


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows in order, and the cursors of the pages before and after."""

    items: list[T]
    before: str | None = None
    after: str | None = None

    def map(self, show: Callable[[T], U]) -> "Page[U]":
        """The same page with other items."""
        return Page([show(item) for item in self.items], self.before, self.after)


def fetch_page(
    session: Session, query: Select[T], *, order: Order, cursor: str | None, size: int
) -> Page[T]:
    """A page of the entities that `query` selects, from `cursor` on. Raises BadCursor."""
    backwards, edge = _read(order, cursor) if cursor else (False, None)
    down = order.descending is not backwards
    if edge is not None:
        row, at = tuple_(*order.columns), tuple_(*edge)
        query = query.where(row < at if down else row > at)
    sorts = [column.desc() if down else column.asc() for column in order.columns]
    found = list(session.scalars(query.order_by(*sorts).limit(size + 1)))
    more, items = len(found) > size, found[:size]
    if backwards:
        items.reverse()
    if not items:
        return Page(items)
    # Where the reader came from there is something, or was when they left it.
    has_before, has_after = (more, True) if backwards else (edge is not None, more)
    return Page(
        items,
        _cursor(order, items[0], backwards=True) if has_before else None,
        _cursor(order, items[-1], backwards=False) if has_after else None,
    )


def cursor_after(order: Order, row: object) -> str:
    """The cursor of the page that begins behind `row`."""
    return _cursor(order, row, backwards=False)


def _cursor(order: Order, row: object, *, backwards: bool) -> str:
    values = [_plain(getattr(row, column.key)) for column in order.columns]
    text = json.dumps([int(backwards), *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _plain(value: Any) -> str | int:
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    return value if isinstance(value, int) else str(value)


def _read(order: Order, cursor: str) -> tuple[bool, list[Any]]:
    if len(cursor) > CURSOR_MAX:
        raise BadCursor
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        backwards, *values = json.loads(text)
        edge = [
            literal(_value(column, value), column.type)
            for column, value in zip(order.columns, values, strict=True)
        ]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadCursor from error
    return bool(backwards), edge


def _value(column: InstrumentedAttribute[Any], value: Any) -> Any:
    kind = column.type.python_type
    if issubclass(kind, datetime) and type(value) is int:
        return _EPOCH + value * _MICROSECOND
    bits = 63 if isinstance(column.type, BigInteger) else 31
    if issubclass(kind, int) and type(value) is int and abs(value) < 2**bits:
        return value
    if issubclass(kind, str) and isinstance(value, str) and "\0" not in value:
        return value
    raise BadCursor
