"""A tightening waits where too few owners could be told of it (LIMITS 2, "Notice")."""

import pytest

from portal.changelog.subscriptions import subscribe
from portal.core.db import transaction
from portal.core.outbox import SmtpTransport, send_due
from tests.support import smtp
from tests.support.change_files import CELL, change_file, in_days, unix
from tests.support.factories import actor_of, make_org, make_user

SENDER = "Plimsoll <portal@portal.example>"


@pytest.fixture
def server():
    with smtp.running() as sink:
        yield sink


@pytest.fixture
def work(telling, server):
    """One pass as the product makes it: tell, hand over, count."""

    def work():
        telling.run()
        send_due(telling.sessions, SmtpTransport(server.url), sender=SENDER)
        telling.check()

    return work


@pytest.fixture
def change(log):
    return lambda: log().history.changes[2]


@pytest.fixture
def announced(telling, publish):
    telling.subscribe(telling.cast.ben, "build")
    publish(change_file(effective_at=in_days(40)))


def test_what_was_handed_over_stands(announced, work, clock, change):
    work()
    clock.advance(days=1)
    work()

    assert change().status == "announced"
    assert len(change().steps) == 0


def test_what_no_server_took_is_held_after_a_day_and_not_before(
    announced, work, clock, change, server, journal
):
    server.refuses = True

    work()
    clock.advance(hours=23, minutes=59)
    work()
    before = change().status
    clock.advance(minutes=1)
    work()

    assert (before, change().status) == ("announced", "held")
    assert change().hold_reason == "notice_not_delivered"
    held = next(event for event in journal() if event.tag == "change:held")
    assert (held.actor_name, held.details["name"]) == ("portal", "notice_not_delivered")


def test_once_they_are_handed_over_it_is_released_with_the_notice_that_was_left(
    announced, work, clock, change, server, telling
):
    server.refuses = True
    work()
    clock.advance(days=1)
    work()
    clock.advance(days=3)
    work()
    still = change().status
    server.refuses = False
    clock.advance(hours=2)

    work()

    assert (still, change().status) == ("held", "announced")
    # 39 days were left when it was held; they count from the release.
    assert change().effective_at == unix(43, hours=2)
    work()
    assert [mail.event for mail in telling.mails()[-2:]] == ["change:2:4", "change:2:4"]
    assert "Too few of the owners concerned could be mailed in time" in " ".join(
        mail.text for mail in telling.mails() if mail.event == "change:2:3"
    )


def test_looking_again_changes_nothing(announced, work, clock, change, server):
    server.refuses = True
    work()
    clock.advance(days=1)

    for _ in range(3):
        work()
    server.refuses = False
    clock.advance(hours=2)
    for _ in range(3):
        work()

    assert [step.kind for step in change().steps] == ["change.held", "change.released"]


def test_subscribers_do_not_count(announced, work, clock, change, sessions, telling):
    """Of eleven mails ten are taken, but they are the subscribers': of the owners nobody was told."""
    with sessions() as session, transaction(session):
        for _ in range(9):
            user = make_user(session)
            subscribe(session, actor=actor_of(user), user=user, tier="build")
    telling.run()
    with sessions() as session, transaction(session):
        for mail in telling.mails():
            row = session.merge(mail)
            row.sent_at = clock.at if mail.unsubscribe_url else None
            row.attempts = 10**6

    clock.advance(days=1)
    work()

    assert sum(mail.sent_at is not None for mail in telling.mails("change:2:2")) == 10
    assert change().status == "held"


@pytest.mark.parametrize(("told", "status"), [(9, "announced"), (8, "held")])
def test_nine_of_ten_are_enough(telling, publish, work, clock, change, sessions, told, status):
    with sessions() as session, transaction(session):
        for _ in range(9):
            make_org(session, owner=make_user(session))
    publish(change_file(rows=[{**CELL, "tier": "start", "quota": 900}], effective_at=in_days(40)))
    telling.run()
    with sessions() as session, transaction(session):
        for place, mail in enumerate(telling.mails()):
            row = session.merge(mail)
            row.sent_at = clock.at if place < told else None
            row.attempts = 10**6

    clock.advance(days=1)
    work()

    assert len(telling.mails()) >= 10
    assert change().status == status


def test_a_tier_without_owners_waits_for_nobody(telling, publish, work, clock, change, server):
    server.refuses = True
    publish(change_file(rows=[{**CELL, "tier": "scale", "quota": 9000}], effective_at=in_days(40)))

    work()
    clock.advance(days=2)
    work()

    assert change().status == "announced"


def test_a_raise_waits_for_nobody(telling, publish, work, clock, change, server):
    server.refuses = True
    publish(change_file(6000, effective_at=in_days(40)))

    work()
    clock.advance(days=2)
    work()

    assert change().status == "announced"


def test_a_portal_that_was_away_has_an_hour_to_send_before_it_counts(
    announced, work, telling, clock, change, server
):
    clock.advance(days=3)
    server.refuses = True

    work()
    clock.advance(minutes=59)
    work()
    before = change().status
    clock.advance(minutes=1)
    telling.check()

    assert (before, change().status) == ("announced", "held")


def test_what_is_sent_within_that_hour_stands(announced, work, telling, clock, change):
    clock.advance(days=3)
    telling.run()
    telling.check()

    work()
    clock.advance(days=1)
    work()

    assert change().steps == ()


def test_a_change_that_staff_hold_waits_for_its_notices_too(
    announced, work, clock, change, server, run
):
    server.refuses = True
    work()
    run("changes", "hold", "2", "--reason", "Someone objects.")
    clock.advance(days=1)
    work()

    run("changes", "release", "2")
    still = change().status
    server.refuses = False
    clock.advance(hours=2)
    work()

    assert (still, change().status) == ("held", "announced")


def test_what_was_withdrawn_is_not_held(announced, work, clock, change, server, run):
    server.refuses = True
    work()
    run("changes", "withdraw", "2", "--reason", "No more.")
    clock.advance(days=1)

    work()

    assert change().status == "withdrawn"
