import pytest

from portal.accounts.models import User
from portal.changelog import subscriptions
from portal.changelog.models import Subscription
from portal.changelog.subscribers import unsubscribe_token
from portal.core.db import transaction

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def subscribed(sessions, cast):
    """Ben subscribes to these tiers; returns the ids."""

    def act(*tiers):
        with sessions() as session, transaction(session):
            user = session.get_one(User, cast.ben.user_id)
            return [
                subscriptions.subscribe(session, actor=cast.ben.actor, user=user, tier=tier).id
                for tier in tiers
            ]

    return act


@pytest.fixture
def link(settings):
    return lambda ids: f"/changelog/unsubscribe/{unsubscribe_token(ids, key=settings.secret_key)}"


@pytest.fixture
def ended(sessions):
    def read(ids):
        with sessions() as session:
            return [session.get_one(Subscription, each).ended_at is not None for each in ids]

    return read


def test_one_click_of_a_mail_program_ends_it_without_sign_in_cookie_or_page(
    client, subscribed, link, ended, journal, cast
):
    ids = subscribed("build")

    answer = client.post(link(ids), data=ONE_CLICK)

    # RFC 8058, section 3.1: no redirect.
    assert answer.status_code == 200
    assert ended(ids) == [True]
    event = journal()[-1]
    assert (event.tag, event.actor_id) == ("user:subscription:ended", cast.ben.user_id)


def test_a_second_click_is_answered_the_same_and_writes_nothing(client, subscribed, link, journal):
    address = link(subscribed("build"))
    first = client.post(address, data=ONE_CLICK)
    events = len(journal())

    second = client.post(address, data=ONE_CLICK)

    assert (second.status_code, second.data) == (200, first.data)
    assert len(journal()) == events


def test_opened_in_a_browser_it_asks_first(visit, both_ways, subscribed, link, ended):
    ids = subscribed("build", "scale")

    page = visit.get(link(ids))
    assert "You are mailed about changes of Build, Scale. End this?" in page.text
    assert ended(ids) == [False, False]
    done = page.form("unsubscribe").submit(htmx=both_ways.is_htmx)

    assert "It is ended" in done.text
    assert ended(ids) == [True, True]
    assert "It is ended" in visit.get(link(ids)).text


def test_it_ends_nothing_but_what_it_names(client, subscribed, link, ended):
    build, scale = subscribed("build", "scale")

    client.post(link([build]), data=ONE_CLICK)

    assert ended([build, scale]) == [True, False]


@pytest.mark.parametrize("change", ["", "x", ".", ".."])
def test_a_link_that_nobody_signed_is_not_there(visit, subscribed, link, ended, change):
    ids = subscribed("build")
    signed = link(ids)
    forged = [signed + change or signed, signed.replace(ids[0], "sub_" + "0" * 26)]

    for address in forged[0 if change else 1 :]:
        visit.get(address, status=404)
        visit.post(address, data=ONE_CLICK, status=404)
    visit.get(f"/changelog/unsubscribe/{ids[0]}", status=404)

    assert ended(ids) == [False]


def test_a_signed_link_to_nothing_is_not_there(visit, link, catalog):
    visit.get(link(["sub_" + "0" * 26]), status=404)
    visit.get(link([]), status=404)
