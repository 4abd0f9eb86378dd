"""Before the first change is published there is no tier to start on."""

from portal.core.db import transaction
from tests.support.factories import make_user


def test_a_sign_up_before_the_first_limits_is_asked_to_come_back(sign_up, person):
    page = sign_up(status=503, redirect=None)

    assert "Come back" in page.text
    assert person("eve@example.com") is None


def test_a_known_address_is_told_the_same(sign_up, sessions, outbox):
    with sessions() as session, transaction(session):
        make_user(session, email="eve@example.com")

    page = sign_up(status=503, redirect=None)

    assert "Come back" in page.text
    assert outbox() == []
