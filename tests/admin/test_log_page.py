import pytest

from portal.transparency import keyfile, statefile
from portal.transparency.signer import sign_new

LOG = "/admin/log"


@pytest.fixture
def signer(sessions, settings):
    """One pass of the signer, as the jobs make it."""
    return lambda: sign_new(sessions, settings)


@pytest.fixture
def by_sql(sessions):
    """What somebody with the database's password can do."""

    def run(statement):
        with sessions.kw["bind"].connect().execution_options(portal_write=True) as link:
            link.exec_driver_sql(statement)
            link.commit()

    return run


def test_a_log_that_is_well_says_so_first(as_root, settings):
    page = as_root.get(LOG)

    assert "All is well: 2 entries are signed." in page.text
    assert statefile.read_head(settings.data).root.hex() in page.text
    assert "Last signed 2026-11-02 11:00 UTC" in page.text
    assert "log:opened" in page.table("Acts on the log").row("log:opened")["What"]


def test_a_restored_backup_is_explained_with_the_command_that_mends_it(as_root, settings, signer):
    leaves = statefile.read(settings.data)
    statefile.write(settings.data, [*leaves, leaves[1].replace(b'"seq":1', b'"seq":2')])
    signer()

    page = as_root.get(LOG)

    assert "not being signed: the database is older than what was signed" in page.text
    assert "holds 3 signed entries, the database 2" in page.text
    assert "flask --app app log recover" in page.text


def test_a_refused_entry_is_explained_with_the_command_that_mends_it(as_root, by_sql, signer):
    by_sql("INSERT INTO log_entries VALUES (2, 9999999999, 'change.held', '{}')")

    assert "2 entries are signed; 1 entry waits" in as_root.get(LOG).text
    signer()
    page = as_root.get(LOG)

    assert "not being signed: an entry waits that may not be signed" in page.text
    assert "flask --app app log discard" in page.text


def test_a_missing_key_is_explained(as_root, settings, signer):
    (settings.data / "secrets" / keyfile.NAME).unlink()
    signer()

    assert "its key is not there" in as_root.get(LOG).text


def test_an_altered_database_is_explained(as_root, by_sql, signer):
    by_sql("UPDATE log_checkpoint SET text = replace(text, '— ', '— x')")
    signer()

    assert "the database no longer holds what was signed" in as_root.get(LOG).text


def test_a_damaged_copy_is_explained(as_root, settings, signer):
    (settings.data / "secrets" / statefile.NAME).write_bytes(b"no json\n")
    signer()

    assert "its own copy of what was signed cannot be read" in as_root.get(LOG).text


def test_the_notice_on_other_pages_of_the_staff_leads_here(as_root, settings, signer):
    (settings.data / "secrets" / keyfile.NAME).unlink()
    signer()

    page = as_root.get("/admin/orgs")

    assert page.link("what it means and what mends it").endswith(LOG)


def test_what_was_done_to_the_log_is_listed(app, as_root, by_sql):
    by_sql("INSERT INTO log_entries VALUES (2, 9999999999, 'change.held', '{}')")
    app.test_cli_runner().invoke(args=["log", "discard"])

    row = as_root.get(LOG).table("Acts on the log").row("log:discarded")

    assert row["Who"] == "command line"
    assert "entries: 2" in row["Details"]


def test_an_outsider_finds_nothing(visit, client, cast):
    cast.sign_in(client, cast.ada)

    visit.get(LOG, status=404)
