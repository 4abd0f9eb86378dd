"""`flask --app app journal check`: what was written into the tables by hand is found."""

import threading
from contextlib import suppress

import pytest
from sqlalchemy import delete, insert, select, update

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.journal.chain import PORTAL
from portal.journal.commands import record
from portal.journal.models import Event, JournalHead


@pytest.fixture
def check(app):
    """Run the command; gives its exit code and what it printed."""

    def run():
        done = app.test_cli_runner().invoke(args=["journal", "check"])
        return done.exit_code, done.output

    return run


def write(sessions, *, times=1, **values) -> None:
    for number in range(times):
        with sessions() as session, transaction(session):
            record(session, CLI, "test:written", number=number, **values)


def by_hand(sessions, statement) -> None:
    with sessions() as session, transaction(session):
        session.execute(statement)


def test_rows_stand_in_one_chain_for_each_organisation_and_one_for_all_else(sessions, cast, check):
    assert check()[0] == 0
    with sessions() as session:
        chains = set(session.scalars(select(JournalHead.chain)))

    assert chains == {PORTAL, cast.acme.id, cast.delta.id}


TAMPERED = {
    "altered": (update(Event).where(Event.seq == 2).values(tag="test:other"), 2, "as it was"),
    "details": (
        update(Event).where(Event.seq == 2).values(details={"number": 7}),
        2,
        "as it was",
    ),
    "removed": (delete(Event).where(Event.seq == 2), 3, "row 2 is missing"),
    "first": (delete(Event).where(Event.seq == 1), 2, "row 1 is missing"),
    "last": (delete(Event).where(Event.seq == 3), 3, "at the end"),
    "all": (delete(Event), 1, "the whole chain"),
    "unchained": (
        update(Event).where(Event.seq == 3).values(previous="0" * 64),
        3,
        "does not follow",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_row_that_is_tampered_with_is_found(sessions, check, what):
    write(sessions, times=3)
    statement, row, why = TAMPERED[what]

    by_hand(sessions, statement)

    code, said = check()
    assert code == 1
    assert said.startswith(f"portal, row {row}")
    assert why in said


def test_a_row_that_was_added_by_hand_is_found(sessions, check, journal):
    write(sessions, times=2)
    columns = {column.name for column in Event.__table__.columns}
    added = {name: getattr(journal()[-1], name) for name in columns} | {"id": "evt_x", "seq": 3}

    by_hand(sessions, insert(Event).values(added))

    assert check()[0] == 1


def test_what_can_be_erased_stands_outside_the_hash(sessions, cast, check):
    write(sessions, email="ada@example.com")
    erased = update(Event).values(actor_name="", ip=None, personal=None)

    by_hand(sessions, erased)

    assert check()[0] == 0


def test_an_act_that_fails_leaves_no_gap(sessions, check):
    write(sessions)
    with sessions() as session:
        with suppress(RuntimeError), transaction(session):
            record(session, CLI, "test:failed")
            raise RuntimeError
        with transaction(session):
            record(session, CLI, "test:written")

    assert check() == (0, "2 rows in 1 chain: as they were written.\n")


def test_writers_at_once_make_one_chain(sessions, check):
    """Whose head is locked only after everything else: each acts on its own chain and on a shared one."""

    def act(org: str) -> None:
        for _ in range(10):
            with sessions() as session, transaction(session):
                for chain in (org, None, "org_shared"):
                    record(session, CLI, "test:written", org_id=chain)

    threads = [threading.Thread(target=act, args=(f"org_{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert check() == (0, "120 rows in 6 chains: as they were written.\n")
