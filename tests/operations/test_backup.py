"""Backups: what is in them, who can read them, and what a restore refuses."""

import stat

import pytest

from portal.core.db import make_engine, make_sessions, snapshot
from portal.operations import backup
from portal.operations.errors import BackupFailed, NotEmpty
from portal.sync.check import check
from portal.transparency import keyfile, statefile
from tests.support.databases import Database
from tests.support.worlds import make_settings

pytestmark = [
    pytest.mark.usefixtures("cast"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]


@pytest.fixture
def folder(settings, tmp_path):
    backup.make(settings, tmp_path / "backup")
    return tmp_path / "backup"


@pytest.fixture
def empty(tmp_path):
    """Settings of a portal that has nothing yet."""
    database = Database("sqlite", f"sqlite:///{tmp_path}/new/portal.db")
    return make_settings(database, tmp_path / "new")


def test_a_backup_is_for_its_owner_alone(folder):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes.pop("secrets") == 0o700
    assert {"portal.db", "log.key", "log.state", "backup.json"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_what_comes_back_is_the_portal(folder, empty):
    assert backup.restore(empty, folder) == []

    engine = make_engine(empty.database_url)
    with make_sessions(engine, strict=True)() as session, snapshot(session):
        found = check(session)
    engine.dispose()
    assert found.is_clean
    assert found.checked > 2
    assert keyfile.load(empty.data)
    secrets = empty.data / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o600}


def test_a_folder_that_holds_something_is_not_written_to(settings, folder):
    with pytest.raises(NotEmpty):
        backup.make(settings, folder)


def test_a_database_that_holds_something_is_not_written_over(settings, folder):
    with pytest.raises(NotEmpty, match="database is not empty"):
        backup.restore(settings, folder)


def test_half_a_backup_is_not_restored(folder, empty):
    (folder / "backup.json").unlink()

    with pytest.raises(BackupFailed, match="no whole backup"):
        backup.restore(empty, folder)


def test_a_backup_of_another_kind_of_database_is_not_restored(folder, empty):
    note = folder / "backup.json"
    note.write_text(note.read_text().replace("sqlite", "postgresql"))

    with pytest.raises(BackupFailed, match="a backup of postgresql"):
        backup.restore(empty, folder)


def test_secrets_that_were_not_lost_stay(settings, folder, empty):
    """As where the database's disk is gone, and the data folder is not."""
    newest = [*statefile.read(settings.data), b'{"seq":2}']
    (empty.data / "secrets").mkdir(mode=0o700)
    keyfile_there = empty.data / "secrets" / keyfile.NAME
    keyfile_there.write_bytes((folder / "secrets" / keyfile.NAME).read_bytes())
    statefile.write(empty.data, newest)

    assert backup.restore(empty, folder) == [statefile.NAME]

    assert statefile.read(empty.data) == newest


def test_the_newest_copy_of_the_log_takes_the_place_of_the_backups(settings, folder, empty):
    newest = [*statefile.read(settings.data), b'{"seq":2}']
    statefile.write(settings.data, newest)

    backup.restore(empty, folder, log_state=settings.data / "secrets" / statefile.NAME)

    assert statefile.read(empty.data) == newest


def test_without_the_programs_of_postgresql_that_is_said(settings, tmp_path, monkeypatch):
    from dataclasses import replace

    monkeypatch.setenv("PATH", str(tmp_path))
    other = replace(settings, database_url="postgresql+psycopg://u:p@127.0.0.1/x")

    with pytest.raises(BackupFailed, match="pg_dump is not on PATH"):
        backup.make(other, tmp_path / "backup")
    assert not (tmp_path / "backup/backup.json").exists()


def test_log_check_says_that_all_is_well_or_what_is_not(app, settings):
    runner = app.test_cli_runner()

    assert runner.invoke(args=["log", "check"]).output == (
        "2 entries: database, key and log.state agree.\n"
    )
    (settings.data / "secrets" / keyfile.NAME).unlink()
    done = runner.invoke(args=["log", "check"])
    assert done.exit_code == 1
    assert "key: The log's key, secrets/log.key, is missing. Put it back." in done.output
