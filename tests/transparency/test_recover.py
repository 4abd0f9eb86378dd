import pytest
from sqlalchemy import select

from plimsoll.contract import canonical
from portal.changelog.models import Change, ChangeWords
from portal.core.db import snapshot
from portal.sync.check import check
from portal.transparency import keyfile, statefile
from portal.transparency.errors import NothingToRecover, NotMended
from portal.transparency.models import Trouble
from tests.transparency.publisher import publish


@pytest.fixture
def restored(log):
    """The log of a portal whose database was restored from a backup without change 1."""
    log.append()
    log.sign()
    log.lost = log.leaves(), log.head().text
    log.lose_the_last_entry()
    return log


def test_a_restored_backup_is_noticed_and_named(restored):
    outcome = restored.sign(thorough=False)

    assert "log.state holds 2 signed entries, the database 1" in outcome.trouble
    assert restored.head().trouble_kind is Trouble.BEHIND


def test_what_was_lost_stands_again_to_the_byte_and_is_signed_as_before(restored):
    restored.sign()
    epoch = restored.epoch()

    done = restored.recover()

    assert (done.size, list(done.entries)) == (2, [1])
    assert (restored.leaves(), restored.head().text) == restored.lost
    assert (restored.head().trouble, restored.head().trouble_kind) == (None, None)
    assert restored.epoch() != epoch
    assert restored.sign() == restored.sign(thorough=False)
    with restored.sessions() as session, snapshot(session):
        assert check(session).is_clean


def test_an_empty_database_is_recovered_in_full(log):
    log.append()
    log.sign()
    signed = log.leaves()
    log.without_triggers()
    log.by_sql("DELETE FROM log_entries")
    log.by_sql("UPDATE log_checkpoint SET size = 0, text = NULL, signed_at = NULL")

    assert log.recover().size == 2
    assert log.leaves() == signed


def test_the_number_of_a_recovered_change_is_not_given_out_again(restored):
    restored.recover()

    body = canonical.decode(restored.leaves()[1])["body"]
    with restored.sessions() as session:
        change = session.scalars(select(Change)).one()
        assert session.scalars(select(ChangeWords)).all() == []
    assert (change.number, change.id, change.entry_seq) == (1, body["id"], 1)


def test_the_next_change_gets_the_next_number(log, catalog):
    publish(log.sessions, log.settings, 7)
    log.lose_the_last_entry()

    log.recover()

    assert publish(log.sessions, log.settings, 8) == 3
    assert [canonical.decode(leaf)["seq"] for leaf in log.leaves()] == [0, 1, 2, 3]


def test_an_unsigned_entry_gives_way_to_the_one_that_was_signed_in_its_place(restored):
    restored.by_sql("INSERT INTO log_entries VALUES (1, 9999999999, 'change.announced', '{}')")

    assert restored.recover().size == 2
    assert restored.leaves() == restored.lost[0]


def test_an_entry_behind_those_recovered_stays_for_the_signer(restored):
    """The backup was made between an append and its signature, and more was slipped in since."""
    restored.by_sql(
        "INSERT INTO log_entries VALUES (1, :at, 'change.announced', :text)",
        at=canonical.decode(restored.lost[0][1])["at"],
        text=restored.lost[0][1],
    )
    restored.slip_in_a_change()

    done = restored.recover()

    assert list(done.entries) == []
    assert len(restored.leaves()) == 3
    assert restored.sign().trouble.startswith("Entry 2 is not signed: ")


def test_without_need_nothing_is_recovered(log):
    log.append()
    log.sign()

    with pytest.raises(NothingToRecover):
        log.recover()


def test_a_file_of_another_log_is_not_taken(restored):
    """Whoever can write the file cannot make the portal sign what its own key never signed."""
    (restored.settings.data / "secrets" / keyfile.NAME).unlink()
    keyfile.load_or_make(restored.settings.data)

    with pytest.raises(NotMended, match="is not the key that the log was opened with"):
        restored.recover()
    assert len(restored.leaves()) == 1


def test_a_file_with_an_unlawful_entry_is_not_taken(restored):
    leaves = [leaf.encode() for leaf in restored.lost[0]]
    statefile.write(restored.settings.data, [*leaves, leaves[1].replace(b'"seq":1', b'"seq":2')])

    with pytest.raises(NotMended, match="was altered"):
        restored.recover()
    assert len(restored.leaves()) == 1


def test_a_database_that_holds_another_history_is_not_mixed_with_the_file(restored):
    restored.without_triggers()
    restored.by_sql("UPDATE log_entries SET text = replace(text, '2592000', '2592001')")

    with pytest.raises(NotMended, match="Entry 0 in the database is not the one that was signed"):
        restored.recover()


def test_a_damaged_file_is_said(restored):
    (restored.settings.data / "secrets" / statefile.NAME).write_bytes(b"no json\n")

    with pytest.raises(NotMended, match="cannot be read"):
        restored.recover()


def test_the_command_recovers_and_says_what_is_lost_for_good(app, restored, journal):
    done = app.test_cli_runner().invoke(args=["log", "recover"])

    assert (done.exit_code, done.output.splitlines()[0]) == (
        0,
        "1 entry appended again; 2 are signed.",
    )
    assert "reasons" in done.output
    event = next(event for event in journal() if event.tag == "log:recovered")
    assert event.details == {"entries": "1", "size": 2}


def test_the_command_refuses_where_nothing_is_lost(app, catalog):
    done = app.test_cli_runner().invoke(args=["log", "recover"])

    assert done.exit_code == 1
    assert "there is nothing to recover" in done.output
