from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.core.db import Base, Sessions, transaction
from portal.orgs.models import Org
from portal.usage.models import UsageMinute
from tests.support.cast import Cast
from tests.support.clocks import ManualClock
from tests.support.factories import make_key
from tests.support.wire import Line, Wire, enrol


@pytest.fixture
def line(app: Flask, sessions: Sessions, clock: ManualClock) -> Line:
    return Line(Wire(app, enrol(sessions)), clock)


@pytest.fixture
def key(cast: Cast, sessions: Sessions) -> str:
    """A key of Acme."""
    return _key(cast, sessions, cast.acme.id)


@pytest.fixture
def other_key(cast: Cast, sessions: Sessions) -> str:
    """A key of Delta."""
    return _key(cast, sessions, cast.delta.id)


def _key(cast: Cast, sessions: Sessions, org_id: str) -> str:
    with sessions() as session, transaction(session):
        return make_key(session, org=session.get_one(Org, org_id)).key.id


@pytest.fixture
def row(clock: ManualClock) -> Callable[..., list[Any]]:
    """A row of the present minute, so many minutes ago where `ago` is given."""

    def make(
        key: str, requests: int = 1, *, ago: int = 0, model: str | None = "opus-5", **more: Any
    ):
        minute = int(clock.at.timestamp()) // 60 * 60 - 60 * ago
        return [key, model, {"requests": requests, **more}, minute]

    return make


@pytest.fixture
def total(sessions: Sessions) -> Callable[..., int]:
    """The sum of a column over the rows of a table."""

    def add(model: type[Base] = UsageMinute, column: str = "requests") -> int:
        with sessions() as session:
            return int(session.scalar(select(func.sum(getattr(model, column)))) or 0)

    return add
