import re
from urllib.parse import urlsplit

import pytest

from portal.accounts.queries import find_user_by_email


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
