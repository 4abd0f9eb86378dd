"""A PostgreSQL that can be reached and says nothing, as behind a network that is broken half-way."""

import socket
import time
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import OperationalError

from portal.core import db


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"postgresql+psycopg://u@127.0.0.1:{listening.getsockname()[1]}/x"


@pytest.mark.long
@pytest.mark.parametrize("query", ["", "?connect_timeout=2"], ids=["by itself", "by its address"])
def test_a_database_that_says_nothing_is_given_up(silent, query, monkeypatch):
    seconds = 30 if query else 2  # what the address says comes first
    monkeypatch.setitem(db.SILENCE, "connect_timeout", seconds)
    engine = db.make_engine(silent + query)
    began = time.monotonic()

    with pytest.raises(OperationalError, match="timeout"):
        engine.connect()

    assert time.monotonic() - began < 10
