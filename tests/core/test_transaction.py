import logging
import sqlite3
from contextlib import closing, suppress

import pytest
from sqlalchemy import delete, func, insert, select, update

from portal.accounts.models import User
from portal.core import db
from portal.core.actor import CLI
from portal.core.db import BulkWrite, UncommittedChanges, make_sessions, transaction, wakeup_of
from portal.journal.commands import record
from portal.journal.models import Event
from portal.orgs.models import Org


def count_events(sessions) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(Event))


def test_what_a_transaction_wrote_is_there_for_the_next_session(sessions):
    with sessions() as session, transaction(session):
        record(session, CLI, "test:happened")

    assert count_events(sessions) == 1


def test_an_error_inside_takes_everything_back_and_wakes_nobody(sessions):
    seen = wakeup_of(sessions).count

    with sessions() as session, suppress(RuntimeError), transaction(session):
        record(session, CLI, "test:happened")
        session.flush()  # also what reached the database already is taken back
        raise RuntimeError

    assert count_events(sessions) == 0
    assert wakeup_of(sessions).count == seen


def test_a_commit_wakes_who_waits(sessions):
    seen = wakeup_of(sessions).count

    with sessions() as session, transaction(session):
        record(session, CLI, "test:happened")

    assert wakeup_of(sessions).wait(seen, timeout=0) == seen + 1


def test_a_read_before_the_transaction_does_not_spoil_the_write(sessions):
    """On SQLite a read snapshot that another commit has overtaken cannot become a write."""
    with sessions() as session:
        session.scalars(select(Event)).all()
        with sessions() as other, transaction(other):
            record(other, CLI, "test:overtook")
        with transaction(session):
            record(session, CLI, "test:happened")

    assert count_events(sessions) == 2


@pytest.mark.parametrize("flushed", [False, True], ids=["new", "flushed"])
def test_closing_with_changes_that_nobody_committed_is_an_error(sessions, flushed):
    session = sessions()
    record(session, CLI, "test:forgotten")
    if flushed:
        session.flush()  # a flush empties session.new: the tripwire must not be fooled

    with pytest.raises(UncommittedChanges):
        session.close()

    assert count_events(sessions) == 0


def test_production_logs_the_forgotten_changes_instead(sessions, caplog):
    lenient = make_sessions(sessions.kw["bind"], strict=False)

    with caplog.at_level(logging.ERROR), lenient() as session:
        record(session, CLI, "test:forgotten")

    assert "uncommitted changes" in caplog.text


def test_a_bare_commit_is_refused(sessions):
    session = sessions()
    record(session, CLI, "test:unsealed")

    with pytest.raises(UncommittedChanges, match="seals first"):
        session.commit()

    session.rollback()
    session.close()
    assert count_events(sessions) == 0


def test_changes_made_before_the_transaction_are_refused(sessions):
    session = sessions()
    record(session, CLI, "test:too-early")

    with pytest.raises(UncommittedChanges, match="before the transaction"), transaction(session):
        pytest.fail("the block must not begin")

    session.rollback()
    session.close()


@pytest.mark.parametrize(
    "statement",
    [
        update(Org).values(name="Everybody"),
        delete(Org),
        insert(Org).values(id="org_x", slug="x", name="X"),
    ],
    ids=["update", "delete", "insert"],
)
def test_a_bulk_write_on_rows_that_gateways_hear_of_is_refused(sessions, cast, statement):
    with sessions() as session, pytest.raises(BulkWrite, match="Org"), transaction(session):
        session.execute(statement)


def test_a_bulk_write_on_other_rows_is_allowed(sessions, cast):
    with sessions() as session, transaction(session):
        session.execute(update(User).values(is_admin=True))

    with sessions() as session:
        assert session.scalar(select(func.count()).where(User.is_admin)) == 5


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_database_that_another_process_keeps_locked_is_busy_not_broken(settings, monkeypatch):
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    engine = db.make_engine(settings.database_url)
    sessions = db.make_sessions(engine, strict=True)
    with closing(sqlite3.connect(engine.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with sessions() as session, pytest.raises(db.Busy), db.transaction(session):
            pass

    engine.dispose()
