import sqlite3

import pytest
from sqlalchemy import make_url

from portal.transparency.queries import policy
from tests.support.product import eventually
from tests.transparency.publisher import publish


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_backup_is_restored_noticed_and_recovered_under_a_gateway(
    app, database, sessions, settings, cast, client, visit, follow, tmp_path
):
    """A change was published after the backup: neither the gateway nor the log ever goes back."""
    book = follow("gw-1").gateway.replica.logbook
    live = make_url(database.url).database
    copy_database(live, tmp_path / "backup.db")
    assert publish(sessions, settings, 2) == 2
    assert eventually(lambda: book.size == 3, seconds=5)

    copy_database(tmp_path / "backup.db", live)
    runner = app.test_cli_runner()
    runner.invoke(args=["jobs", "run"])

    cast.sign_in(client, cast.root)
    page = visit.get("/admin/log")
    assert "the database is older than what was signed" in page.text
    assert book.size == 3

    done = runner.invoke(args=["log", "recover"])

    assert done.exit_code == 0, done.output
    assert "All is well: 3 entries are signed." in visit.get("/admin/log").text
    assert publish(sessions, settings, 3) == 3
    assert eventually(lambda: book.size == 4, seconds=10)
    with sessions() as session:
        assert book.policy(2**40).offers == policy(session, 2**40).offers


def copy_database(source, target) -> None:
    with sqlite3.connect(source) as read, sqlite3.connect(target) as write:
        read.backup(write)
    read.close()
    write.close()
