"""Signing in as one of the cast, for tests of the board's pages."""

from collections.abc import Callable

import pytest

from tests.support.cast import Cast
from tests.support.visit import Visit

As = Callable[[str], Visit]


@pytest.fixture
def sign(visit: Visit, client, cast: Cast) -> As:
    """The checking client, signed in as somebody: `sign("ben").get(…)`."""

    def act(name: str) -> Visit:
        cast.sign_in(client, getattr(cast, name))
        return visit

    return act


@pytest.fixture
def token(visit: Visit) -> Callable[[], str]:
    """The token of whoever is signed in, to send what no page offers."""

    def read() -> str:
        form = visit.get("/feedback").form("Sign out")
        return form.values["csrf_token"][0]

    return read
