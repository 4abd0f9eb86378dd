"""Pages by cursor, over any rows."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import select

from portal.core.actor import JOB
from portal.core.db import transaction
from portal.core.paging import BadCursor, Order, fetch_page
from portal.journal.commands import record
from portal.journal.models import Event

ORDER = Order(Event.tag, Event.id)


@pytest.fixture
def rows(session):
    """Thirty events, of which many share a tag."""
    with transaction(session):
        for number in range(30):
            record(session, JOB, f"test:{number % 3}")
    return select(Event).where(Event.tag.startswith("test:"))


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("size", [1, 7, 30, 40])
def test_all_rows_come_once_there_and_back(session, rows, descending, size):
    order = Order(Event.tag, Event.id, descending=descending)
    expected = sorted(session.scalars(rows), key=lambda row: (row.tag, row.id), reverse=descending)
    there, back, cursor = [], [], None

    while True:
        page = fetch_page(session, rows, order=order, cursor=cursor, size=size)
        there += page.items
        if page.after is None:
            break
        cursor = page.after
    while page.before is not None:
        page = fetch_page(session, rows, order=order, cursor=page.before, size=size)
        back = page.items + back

    assert there == expected
    assert back == expected[: len(back)]
    assert len(back) >= len(expected) - size


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cursor=some.one_of(
        some.text(max_size=80),
        some.lists(
            some.one_of(some.integers(), some.text(max_size=5), some.none(), some.booleans()),
            max_size=4,
        ).map(
            lambda values: (
                base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
            )
        ),
    )
)
def test_no_cursor_breaks_a_page(session, rows, cursor):
    try:
        page = fetch_page(session, rows, order=ORDER, cursor=cursor, size=3)
    except BadCursor:
        return
    assert len(page.items) <= 3
