"""The schema's history: from nothing to now and back, and no difference from the models."""

import warnings

import pytest
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError

from portal.core import migrations
from portal.core.db import Sessions, make_engine
from portal.core.migrations import FOLDER
from portal.core.seal import SyncHead
from tests.support.databases import Database


def tables(database: Database) -> set[str]:
    engine = make_engine(database.url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def check(database: Database) -> None:
    with warnings.catch_warnings():
        # SQLite cannot read expression indexes back; the PostgreSQL run compares them.
        warnings.filterwarnings("ignore", message=".*expression-based index.*")
        migrations.check(database.url)


def test_there_is_one_head():
    script = ScriptDirectory(str(FOLDER))

    assert len(script.get_heads()) == 1


def test_the_migrated_database_is_what_the_models_say(database: Database):
    check(database)


def test_a_database_that_differs_from_the_models_is_noticed(database: Database):
    engine = make_engine(database.url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE orgs ADD COLUMN colour VARCHAR(10)"))
    engine.dispose()

    with pytest.raises(CommandError, match="colour"):
        check(database)


def test_each_step_can_be_taken_back_and_made_again(database: Database):
    every = tables(database)

    migrations.downgrade(database.url, "base")
    assert tables(database) == {"alembic_version"}
    migrations.upgrade(database.url)

    assert tables(database) == every
    check(database)


def test_a_fresh_state_is_empty_and_has_an_epoch_of_its_own(sessions: Sessions):
    with sessions() as session:
        head = session.get_one(SyncHead, 1)

        assert (head.revision, head.count, head.digest) == (0, 0, "0" * 64)
        assert len(head.epoch) == 32
        assert migrations.is_current(session)


def test_the_database_itself_refuses_a_log_entry_out_of_order(sessions: Sessions):
    insert = text("INSERT INTO log_entries (seq, at, kind, text) VALUES (7, 1, 'x', '{}')")

    with sessions() as session, pytest.raises(DatabaseError, match="follows the last one"):
        session.connection().execute(insert)
