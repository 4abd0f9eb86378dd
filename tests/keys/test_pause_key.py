"""Pausing, and resuming what was paused."""

import pytest

from portal.core.db import transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from tests.support.wire import Copy


def ask(key, act):
    return f"/orgs/acme/keys/{key.id}/{act}"


def test_a_key_is_paused_and_resumed_and_each_leaves_one_line(
    as_ada, both_ways, key, now, journal, wire_state
):
    page = f"/orgs/acme/keys/{key.id}"

    paused = (
        as_ada.get(ask(key, "pause")).form("pause").submit(htmx=both_ways.is_htmx, redirect=page)
    )
    as_ada.get(ask(key, "pause")).form("pause").submit(redirect=page)
    on_the_wire = wire_state(key)
    resumed = (
        as_ada.get(ask(key, "resume")).form("resume").submit(htmx=both_ways.is_htmx, redirect=page)
    )

    assert "until it is resumed" in paused.text
    assert on_the_wire == "paused"
    assert "This key works." in resumed.text
    assert wire_state(key) == "active"
    tags = [event.tag for event in journal() if event.subject_id == key.id]
    assert tags == ["org:key:issued", "org:key:paused", "org:key:resumed"]


@pytest.fixture
def wire_state(wire):
    return lambda key: wire.pull(Copy()).of("key", key.id)["state"]


@pytest.mark.parametrize("act", ["pause", "resume"])
def test_only_members_with_the_right_pause_and_resume(turned_away, key, now, act):
    turned_away(ask(key, act))

    assert now().paused_at is None


@pytest.mark.parametrize("act", ["pause", "resume"])
def test_a_revoked_key_is_neither_paused_nor_resumed(as_ada, sessions, cast, key, now, act):
    form = as_ada.get(ask(key, act)).form(act)
    with sessions() as session, transaction(session):
        row = session.get_one(ApiKey, key.id)
        revoke_key(session, actor=cast.ada.actor, key=row, reason="Over.")

    form.submit(status=409)

    assert now().paused_at is None


def test_a_developer_pauses_a_colleagues_key(visit, client, cast, key, now):
    cast.sign_in(client, cast.ben)

    visit.get(ask(key, "pause")).form("pause").submit(redirect=f"/orgs/acme/keys/{key.id}")

    assert now().paused_at is not None
