"""News without limits reaches the same people, once."""

import pytest

from portal.changelog.announcements import publish_announcement, withdraw_announcement
from portal.core.actor import CLI
from portal.core.db import transaction

ADA, BEN, DAN = "ada@example.com", "ben@example.com", "dan@example.com"


@pytest.fixture
def announce(sessions):
    def act(*tiers):
        with sessions() as session, transaction(session):
            return publish_announcement(
                session, actor=CLI, title="A new region", text="We run in Oslo, too.", tiers=tiers
            ).id

    return act


def test_news_for_everyone_reach_owners_and_subscribers(telling, announce):
    telling.subscribe(telling.cast.ben, "scale")

    number = announce()

    told = telling.new()
    assert sorted(told) == [ADA, BEN, DAN]
    assert told[ADA].subject == "A new region"
    assert told[ADA].text.startswith("News for Acme (tier Build): no limit changes.\n\nWe run in")
    assert f"http://127.0.0.1:5000/changelog/{number}" in told[ADA].text
    assert told[BEN].unsubscribe_url
    assert telling.new() == {}


def test_news_for_a_tier_reach_those_whom_it_concerns(telling, announce):
    telling.subscribe(telling.cast.ben, "scale")

    announce("build")

    assert list(telling.new()) == [ADA]


def test_news_that_were_withdrawn_before_anyone_was_told_are_told_to_nobody(
    telling, announce, sessions
):
    number = announce()
    with sessions() as session, transaction(session):
        withdraw_announcement(session, actor=CLI, announcement_id=number)

    assert telling.new() == {}
