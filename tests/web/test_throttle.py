import pytest

from portal.core.errors import TooMany
from portal.web import throttle
from portal.web.throttle import RATES, Rate


@pytest.fixture
def three(monkeypatch, app, clock):
    monkeypatch.setitem(RATES, "tests", Rate(3, 60))
    with app.app_context():
        yield


def take(subject="a"):
    throttle.take("tests", subject)


@pytest.mark.usefixtures("three")
def test_as_many_as_the_table_says_pass_and_the_next_waits():
    for _ in range(3):
        take()

    with pytest.raises(TooMany) as refused:
        take()

    assert 0 < refused.value.retry_after <= 60


@pytest.mark.usefixtures("three")
def test_waiting_as_long_as_told_is_enough(clock):
    for _ in range(3):
        take()
    with pytest.raises(TooMany) as refused:
        take()

    clock.advance(seconds=refused.value.retry_after)

    take()


@pytest.mark.usefixtures("three")
def test_others_are_not_held_up():
    for _ in range(3):
        take("a")

    take("b")


@pytest.mark.usefixtures("three")
def test_what_is_given_back_can_be_taken_again():
    for _ in range(10):
        take()
        throttle.give_back("tests", "a")

    take()


@pytest.mark.usefixtures("three")
def test_counts_are_forgotten_when_their_window_has_ended(clock, sessions):
    from portal.core.db import transaction

    take()
    clock.advance(seconds=60)

    with sessions() as session, transaction(session):
        assert throttle.forget_past(session) == 1
        assert throttle.forget_past(session) == 0


@pytest.mark.parametrize(
    ("remote", "subject"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "::ffff:203.0.113.9"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_address_is_counted_as_its_customer_has_it(app, remote, subject):
    with app.test_request_context(environ_base={"REMOTE_ADDR": remote}):
        assert throttle.address() == subject
