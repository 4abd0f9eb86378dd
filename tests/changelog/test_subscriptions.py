import pytest
from sqlalchemy import select

from portal.accounts.models import User
from portal.changelog.models import Subscription
from portal.core.db import transaction

PAGE = "/changelog/subscriptions"


@pytest.fixture
def as_ben(visit, client, cast):
    cast.sign_in(client, cast.ben)
    return visit


@pytest.fixture
def live(sessions):
    """The tiers that somebody subscribes to."""

    def read():
        with sessions() as session:
            query = select(Subscription.tier).where(Subscription.ended_at.is_(None))
            return sorted(session.scalars(query), key=str)

    return read


@pytest.fixture
def tags(journal):
    return lambda: [event.tag for event in journal() if ":subscription:" in event.tag]


def subscribe(visit, tier, *, htmx=False):
    form = visit.get(PAGE).form("subscribe").fill(tier=tier)
    return form.submit(htmx=htmx, redirect=None if htmx else PAGE)


def test_a_person_subscribes_to_a_tier(as_ben, both_ways, live, journal, cast):
    page = subscribe(as_ben, "build", htmx=both_ways.is_htmx)

    assert page.flash == "You are mailed changes of Build."
    assert "We mail you at ben@example.com about changes of Build." in page.text
    assert live() == ["build"]
    (event,) = [event for event in journal() if event.tag == "user:subscription:started"]
    assert (event.actor_id, event.details) == (cast.ben.user_id, {"tier": "build"})


def test_all_tiers_take_the_place_of_each(as_ben, live, tags):
    subscribe(as_ben, "build")

    page = subscribe(as_ben, "*")

    assert live() == [None]
    assert "changes of every tier" in page.text
    assert page.soup.select("form[name=subscribe]") == []
    assert tags().count("user:subscription:ended") == 1


def test_a_subscription_ends_where_it_began(as_ben, both_ways, live, tags):
    page = subscribe(as_ben, "build")

    form = page.form("End Build")
    ended = form.submit(htmx=both_ways.is_htmx, redirect=None if both_ways.is_htmx else PAGE)

    assert ended.flash == "You are no longer mailed changes of Build."
    assert "You subscribe to nothing yet." in ended.text
    assert live() == []
    form.submit(redirect=PAGE)
    assert tags() == ["user:subscription:started", "user:subscription:ended"]


def test_a_subscription_of_somebody_else_is_not_there(as_ben, visit, client, cast, live):
    form = subscribe(as_ben, "build").form("End Build")
    cast.sign_in(client, cast.dan)
    token = visit.get(PAGE).soup.select_one("[name=csrf_token]")["value"]

    visit.post(form.action, data={"csrf_token": token}, status=404)
    visit.post(f"{PAGE}/sub_0/end", data={"csrf_token": token}, status=404)

    assert live() == ["build"]


@pytest.mark.parametrize("tier", ["", "no-such-tier", "build"])
def test_bad_input_is_said_beside_the_field_and_subscribes_to_nothing(
    as_ben, both_ways, live, tier
):
    subscribe(as_ben, "build")
    form = as_ben.get(PAGE).form("subscribe")

    page = form.fill(tier=tier).submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["tier"]
    assert live() == ["build"]


def test_who_never_confirmed_an_address_cannot_have_it_mailed(as_ben, sessions, cast, live):
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ben.user_id).email_confirmed_at = None

    page = as_ben.get(PAGE).form("subscribe").fill(tier="build").submit(status=422)

    assert "First confirm your address" in page.text
    assert live() == []


def test_signed_out_the_way_leads_to_sign_in(visit, catalog):
    visit.get(PAGE, redirect="/login?next=/changelog/subscriptions")
