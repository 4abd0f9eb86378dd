import pytest

from portal.operations.jobs import look, lookout
from tests.support.wire import Wire, enrol

URL = "http://localhost"


@pytest.fixture
def looking(sessions):
    """One look of the job, as if it had run all along."""

    def act():
        return look(sessions, url=URL)

    return act


@pytest.fixture
def watched(sessions, clock):
    """The jobs have run for a while."""
    look_again = lookout(sessions, url=URL)
    look_again()
    clock.advance(minutes=1)
    look_again()
    return look_again


@pytest.fixture
def wire(app, sessions):
    return Wire(app, enrol(sessions, "gw-eu-1"))


@pytest.fixture
def as_root(visit, client, cast):
    cast.sign_in(client, cast.root)
    return visit


@pytest.fixture
def told(outbox):
    """Subjects of the mails about alerts, oldest first; to whom they went is asserted where it matters."""
    return lambda: [mail.subject for mail in reversed(outbox()) if mail.event.startswith("alert:")]
