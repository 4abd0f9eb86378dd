from collections.abc import Iterator

import pytest
from flask import Flask

from portal.serve import Server
from tests.support.cast import Cast, Person


@pytest.fixture(params=["sqlite"])
def database(request, worlds, tmp_path):
    """What a browser sees does not depend on the database; one kind is enough."""
    with worlds.copy("sqlite", "peopled", tmp_path / "data") as made:
        yield made


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    """The portal's address, served as in production."""
    server = Server(app, host="127.0.0.1", port=0, threads=8)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def sign_in(app: Flask, cast: Cast, context, portal: str):
    """Sign somebody in without the form."""

    def sign_in(person: Person) -> None:
        client = app.test_client()
        cast.sign_in(client, person)
        cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
        assert cookie is not None
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": portal}])

    return sign_in
