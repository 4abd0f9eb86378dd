from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.keys.commands import Use, note_use
from portal.keys.models import ApiKey, KeyLastUse
from tests.support.clocks import START

MINUTE = timedelta(minutes=1)


@pytest.fixture
def note(sessions):
    def write(*uses):
        with sessions() as session, transaction(session):
            note_use(session, uses)

    return write


def test_the_latest_use_counts_whatever_the_order_of_reports(clock, as_ada, key, note):
    note(Use(key.id, START + 2 * MINUTE, "gw-2"), Use(key.id, START, "gw-1"))
    note(Use(key.id, START + MINUTE, "gw-1"))

    shown = f"{START + 2 * MINUTE:%Y-%m-%d %H:%M} UTC"
    assert as_ada.get(f"/orgs/acme/keys/{key.id}").facts["Last used"] == f"{shown}, at gw-2"
    assert as_ada.get("/orgs/acme/keys").table("The keys of Acme").rows[0]["Last used"] == shown


def test_a_key_that_nobody_used_says_never(as_ada, key):
    assert as_ada.get("/orgs/acme/keys").table("The keys of Acme").rows[0]["Last used"] == "never"


def test_a_thousand_uses_at_once_are_kept(note, sessions, cast):
    note(*(Use(f"key_{number:04}", START, "gw") for number in range(1001)))

    with sessions() as session:
        assert session.query(KeyLastUse).count() == 1001


def test_a_first_use_that_is_being_written_makes_no_revocation_wait(sessions, key):
    """A foreign key's check would lock the key until the report that names it is committed."""
    if sessions.kw["bind"].dialect.name == "sqlite":
        return
    with sessions() as ingest, transaction(ingest):
        note_use(ingest, [Use(key.id, START, "gw")])
        with sessions() as other, transaction(other):
            query = ApiKey.__table__.select().where(ApiKey.id == key.id)
            assert other.execute(query.with_for_update(nowait=True)).one()
