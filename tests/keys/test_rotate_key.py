from datetime import timedelta

import pytest
from sqlalchemy import func, select

from plimsoll.contract.tokens import secret_digest
from portal.core.db import transaction
from portal.keys.caps import set_cap
from portal.keys.commands import Use, note_use, pause_key
from portal.keys.models import ApiKey, Environment
from portal.orgs.models import Org
from portal.tiers.words import Identity
from tests.support.clocks import START
from tests.support.factories import PASSWORD

DAY = timedelta(days=1)
SCOPE = ("name", "environment", "lineage", "models", "networks", "caps")


def ask(key):
    return f"/orgs/acme/keys/{key.id}/rotate"


@pytest.fixture
def successor(sessions, now):
    def read():
        return now(now().successor_id)

    return read


@pytest.fixture
def count(sessions):
    def read():
        with sessions() as session:
            return session.scalar(select(func.count()).select_from(ApiKey))

    return read


def test_a_successor_takes_the_place_with_the_same_scope_and_its_secret_is_shown_once(
    clock, as_ada, both_ways, issue, sessions, cast, now, journal
):
    values = {"models": ["opus-5"], "networks": ["10.0.0.0/8"], "environment": Environment.TEST}
    key = issue(name="Narrow", **values).key
    with sessions() as session, transaction(session):
        org, row = session.get_one(Org, cast.acme.id), session.get_one(ApiKey, key.id)
        limit = Identity("opus-5", "requests", "bucket", 60)
        set_cap(session, actor=cast.ada.actor, org=org, key=row, limit=limit, quota=5)

    page = as_ada.get(ask(key)).form("rotate").submit(htmx=both_ways.is_htmx)

    old = now(key.id)
    new = now(old.successor_id)
    secret = page.one("#secret").get_text()
    assert page.headers["Cache-Control"] == "no-store"
    assert (new.digest, secret.startswith("plim_test_")) == (secret_digest(secret), True)
    assert all(getattr(new, name) == getattr(old, name) for name in SCOPE)
    assert (old.expires_at, new.expires_at) == (START + DAY, None)
    (event,) = [event for event in journal() if event.tag == "org:key:rotated"]
    assert event.details["successor"] == new.id
    assert secret not in str([vars(each) for each in journal()])


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"grace_seconds": "0"}, 0),
        ({"grace_seconds": "3600"}, 3600),
        ({"grace_seconds": "604800"}, 604_800),
        ({"grace_seconds": "5001"}, 5001),
        ({"grace_seconds": "other", "grace_chosen": "2,592,000"}, 2_592_000),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_old_key_ends_after_the_grace_to_the_second(clock, as_ada, key, now, given, seconds):
    as_ada.get(ask(key)).form("rotate").fill(given).submit()

    assert now().expires_at == START + timedelta(seconds=seconds)


def test_the_old_key_never_ends_later_and_the_new_one_is_given_as_long_a_life(
    clock, as_ada, cast, issue, now
):
    key = issue(name="Short", expires_at=START + 10 * DAY).key
    clock.advance(days=9)

    form = as_ada.get(ask(key)).form("rotate").fill(proof_password=cast.ada.password)
    form.fill(grace_seconds="604800").submit()

    old = now(key.id)
    assert (old.expires_at, now(old.successor_id).expires_at) == (
        START + 10 * DAY,
        START + 19 * DAY,
    )


def test_only_members_with_the_right_rotate(turned_away, key, now, count):
    turned_away(ask(key), {"grace_seconds": "0"})

    assert (count(), now().successor_id) == (1, None)


BAD = [
    ("grace_seconds", {"grace_seconds": ""}, "how long"),
    ("grace_seconds", {"grace_seconds": "-1"}, "whole number"),
    ("grace_seconds", {"grace_seconds": "2592001"}, "2,592,000"),
    ("grace_seconds", {"grace_seconds": "other"}, "below"),
    ("grace_chosen", {"grace_seconds": "other", "grace_chosen": "soon"}, "whole number"),
    ("expires_at", {"expires_at": "2020-01-01T00:00"}, "past"),
]


def test_bad_input_is_said_beside_its_field_and_nothing_is_rotated(
    as_ada, both_ways, key, now, count
):
    for field, values, said in BAD:
        form = as_ada.get(ask(key)).form("rotate").fill(values)

        page = form.submit(htmx=both_ways.is_htmx, status=422)

        assert said in page.errors[field]
    assert (count(), now().successor_id, now().expires_at) == (1, None, None)


def test_who_was_not_asked_for_long_proves_anew_who_they_are(clock, as_ada, cast, key, count):
    clock.advance(minutes=16)
    form = as_ada.get(ask(key)).form("rotate")

    page = form.submit(status=422)

    assert page.errors["proof_password"] == "Enter your password."
    assert count() == 1
    page.form("rotate").fill(proof_password=cast.ada.password).submit()
    assert count() == 2


def test_a_key_is_rotated_once_and_the_tiers_maximum_does_not_hinder_it(as_ada, issue, key, count):
    for number in range(24):
        issue(name=f"Key {number}")
    form = as_ada.get(ask(key)).form("rotate")

    form.submit()
    page = form.submit(status=422)

    assert "was rotated already" in page.text
    assert count() == 26
    assert "25 live keys of the 25" in as_ada.get("/orgs/acme/keys").text
    as_ada.get(ask(key), status=409)


def test_the_pages_of_old_and_new_say_when_the_old_secret_was_still_used(
    clock, as_ada, sessions, key, successor
):
    as_ada.get(ask(key)).form("rotate").submit()
    unused = as_ada.get(f"/orgs/acme/keys/{successor().id}").text
    clock.advance(minutes=3)
    with sessions() as session, transaction(session):
        note_use(session, [Use(key.id, clock.at, "gw-eu-1")])

    new = as_ada.get(f"/orgs/acme/keys/{successor().id}").text
    old = as_ada.get(f"/orgs/acme/keys/{key.id}").text

    assert "not used since this key was issued" in unused
    assert f"The old key was still used at {clock.at:%Y-%m-%d %H:%M} UTC, at gw-eu-1" in new
    assert "This old secret was still used" in old


def test_an_old_secret_that_is_paused_is_never_said_to_work(
    clock, as_ada, sessions, cast, key, successor
):
    """It was found in public and paused: whoever rotates it now must not read that it goes on until tomorrow."""
    with sessions() as session, transaction(session):
        pause_key(session, actor=cast.ada.actor, key=session.get_one(ApiKey, key.id))

    issued = as_ada.get(ask(key)).form("rotate").submit()

    new = as_ada.get(f"/orgs/acme/keys/{successor().id}")
    assert successor().paused_at is None
    for page in (issued, new):
        assert "works until" not in page.text
        assert "is paused" in page.text


def test_a_key_that_has_ended_is_rotated_and_its_successor_takes_a_place_of_its_own(
    clock, as_ada, issue, now
):
    ended = issue(name="Yearly", expires_at=START + DAY).key
    clock.advance(days=2)

    page = as_ada.get(ask(ended)).form("rotate").fill(proof_password=PASSWORD).submit()

    assert "has ended" in page.text
    old, new = now(ended.id), now(now(ended.id).successor_id)
    assert (old.expires_at, new.expires_at) == (START + DAY, START + 3 * DAY)
