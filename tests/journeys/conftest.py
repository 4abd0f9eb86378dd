from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.changes import publish, run
from tests.support.product import Product

__all__ = ["publish", "run"]


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    made = Product(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def enter(app, cast, chromium, guard, served):
    """A browser of its own for a person, signed in."""
    opened = []

    def enter(person):
        client = app.test_client()
        cast.sign_in(client, person)
        cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
        context = chromium.new_context()
        context.set_default_timeout(10_000)
        context.route("**/*", guard)
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": served}])
        opened.append(context)
        return context.new_page()

    yield enter
    for context in opened:
        context.close()
    assert guard.foreign == []
