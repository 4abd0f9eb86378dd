"""The staff's command for whoever has lost the device and the recovery codes."""

import pytest

from portal.accounts.queries import has_second_factor
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.usefixtures("cast", "clock")


@pytest.fixture
def reset(app):
    def run(email):
        return app.test_cli_runner().invoke(args=["admin", "reset-second-factor", email])

    return run


def test_the_password_alone_signs_in_again(reset, phone, visit):
    done = reset("ADA@example.com")

    assert done.exit_code == 0, done.output
    assert done.output.startswith("The second factor of ada@example.com is off.")
    form = visit.get("/login").form("sign-in")
    form.fill(email="ada@example.com", password=PASSWORD).submit(redirect="/")


def test_every_browser_signs_in_anew(reset, phone, client, cast):
    """The device that is lost may be signed in, and from now on a password is all that it is asked for."""
    cast.sign_in(client, cast.ada)

    reset("ada@example.com")

    assert client.get("/orgs/acme").status_code == 303


def test_it_is_mailed_and_in_the_journal(reset, phone, journal, outbox, cast):
    reset("ada@example.com")

    event = journal()[-1]
    assert (event.tag, event.via) == ("user:second_factor:reset", "cli")
    assert event.subject_id == cast.ada.user_id
    assert outbox()[0].to == cast.ada.email
    assert outbox()[0].subject == "Your second factor was taken off"


def test_an_address_that_nobody_has_is_refused(reset, phone, tags):
    done = reset("nobody@example.com")

    assert done.exit_code == 2
    assert "Nobody has this address." in done.output
    assert tags() == []


def test_who_has_none_keeps_having_none(reset, phone, tags, cast):
    done = reset(cast.ben.email)

    assert done.exit_code == 1
    assert "is off" in done.output
    assert tags() == []


def test_nobody_elses_is_touched(reset, phone, sessions, cast):
    reset(cast.ben.email)

    with sessions() as session:
        assert has_second_factor(session, cast.ada.user_id)
