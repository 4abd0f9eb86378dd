import threading

import pytest
from sqlalchemy import text, update

from portal.core.actor import CLI
from portal.core.db import snapshot, transaction
from portal.core.seal import SyncHead, SyncRecord
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from portal.sync.check import check
from portal.sync.commands import rebuild, rebuild_if_outdated
from portal.sync.queries import get_head
from tests.support.factories import make_key
from tests.support.wire import Copy


@pytest.fixture
def key(sessions, cast):
    with sessions() as session, transaction(session):
        return make_key(session, org=session.get_one(Org, cast.acme.id), actor=cast.ada.actor).key


@pytest.fixture
def found(sessions):
    def read():
        with sessions() as session, snapshot(session):
            return check(session)

    return read


def test_records_agree_with_the_tables(found, key):
    assert found().is_clean
    assert found().checked > 3


def test_a_record_changed_behind_the_seals_back_is_found(found, sessions, key):
    with sessions() as session, transaction(session):
        session.execute(update(SyncRecord).where(SyncRecord.id == key.id).values(data="{}"))

    assert found().records == [("key", key.id)]


def test_a_row_changed_by_sql_is_found(found, sessions, key):
    with sessions() as session, transaction(session):
        session.execute(text("UPDATE api_keys SET lineage = 'key_other'"))

    assert found().records == [("key", key.id)]
    assert len(found().sums) == 1


def test_a_rebuild_mends_it_in_a_new_epoch_with_a_higher_revision(found, sessions, key):
    with sessions() as session, transaction(session):
        before = (get_head(session).epoch, get_head(session).revision)
        session.execute(text("UPDATE api_keys SET lineage = 'key_other'"))
        rebuild(session, actor=CLI)

    assert found().is_clean
    with sessions() as session:
        head = get_head(session)
        assert head.epoch != before[0]
        assert head.revision == before[1] + 1


def test_a_rebuild_leaves_one_line_in_the_journal(sessions, key, journal):
    with sessions() as session, transaction(session):
        rebuild(session, actor=CLI)
        epoch = get_head(session).epoch

    (event,) = [event for event in journal() if event.tag == "sync:state:rebuilt"]
    assert (event.actor_name, event.details["epoch"]) == ("command line", epoch)


def test_another_version_of_the_wire_rebuilds_once(sessions, key):
    with sessions() as session, transaction(session):
        session.execute(update(SyncHead).values(wire_version=0))

    with sessions() as session, transaction(session):
        assert rebuild_if_outdated(session, actor=CLI)
        assert not rebuild_if_outdated(session, actor=CLI)


def test_two_people_revoking_at_once_keep_the_digest_right(found, sessions, cast, wire):
    """Fifty times: both load the key, both revoke; one event, one revision, the sums fit."""
    with sessions() as session, transaction(session):
        acme = session.get_one(Org, cast.acme.id)
        acme_keys = [make_key(session, org=acme, actor=cast.ada.actor).key.id for _ in range(25)]
        delta = session.get_one(Org, cast.delta.id)
        keys = acme_keys + [make_key(session, org=delta).key.id for _ in range(25)]
    actors = {True: (cast.ada.actor, cast.ben.actor), False: (cast.dan.actor, cast.dan.actor)}

    def act(key_id, actor):
        with sessions() as session, transaction(session):
            key = session.get_one(ApiKey, key_id, with_for_update=True)
            revoke_key(session, actor=actor, key=key, reason="Both at once.")

    for number, key_id in enumerate(keys):
        pair = [threading.Thread(target=act, args=(key_id, actor)) for actor in actors[number < 25]]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()

    assert found().is_clean
    copy = wire.pull(Copy())
    assert {copy.of("key", key_id)["state"] for key_id in keys} == {"revoked"}
