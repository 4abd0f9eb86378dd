import re
from urllib.parse import urlsplit

import pytest

from portal.accounts.queries import find_user_by_email
from tests.support.authenticator import give_authenticator


@pytest.fixture
def newest_link(outbox):
    """The path of the link in the newest mail."""

    def read() -> str:
        found = re.search(r"https?://\S+", outbox()[0].text)
        assert found, outbox()[0].text
        return urlsplit(found[0]).path

    return read


@pytest.fixture
def person(sessions):
    """The row of a person by address, as it is now."""

    def read(email: str):
        with sessions() as session:
            return find_user_by_email(session, email)

    return read


@pytest.fixture
def sign_up(visit):
    """Fill in the sign-up form and send it."""

    def send(*, htmx=False, status=200, redirect="/signup/mail", **values):
        form = visit.get("/signup").form("sign-up")
        form.fill({"email": "eve@example.com", "password": "a long enough one"})
        form.fill({"organisation": "Eve & Co", **values})
        return form.submit(htmx=htmx, status=status, redirect=redirect)

    return send


@pytest.fixture
def as_ada(visit, client, cast):
    """The checking client, signed in as the owner of Acme."""
    cast.sign_in(client, cast.ada)
    return visit


@pytest.fixture
def phone(sessions, cast, clock):
    """Ada's second factor is on, and this is her authenticator."""
    return give_authenticator(sessions, cast.ada)


@pytest.fixture
def tags(journal):
    """The tags in the journal, oldest first, without what the cast's beginnings left."""
    before = len(journal())
    return lambda: [event.tag for event in journal()[before:]]
