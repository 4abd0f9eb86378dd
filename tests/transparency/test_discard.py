import pytest
from sqlalchemy import select

from portal.changelog.models import Change, ChangeWords
from portal.core.db import snapshot
from portal.core.seal import SyncRecord
from portal.sync.check import check
from portal.transparency import keyfile, statefile
from portal.transparency.errors import NothingToDiscard, NotMended
from portal.transparency.models import Trouble


@pytest.fixture
def refused(log):
    """A signed log with an entry behind it that no command published."""
    log.append()
    log.sign()
    log.slip_in_a_change()
    return log


def test_what_the_signer_refuses_is_named(refused):
    refused.sign()

    assert refused.head().trouble_kind is Trouble.REFUSED


def test_refused_entries_go_and_the_log_goes_on(refused):
    refused.sign()
    epoch, text = refused.epoch(), refused.head().text

    done = refused.discard()

    assert (done.size, list(done.entries)) == (2, [2])
    assert len(refused.leaves()) == 2
    assert (refused.head().trouble, refused.head().trouble_kind) == (None, None)
    assert (refused.head().text, refused.epoch() != epoch) == (text, True)
    assert refused.sign().trouble is None
    with refused.sessions() as session, snapshot(session):
        assert check(session).is_clean


def test_gateways_are_no_longer_sent_what_was_discarded(refused):
    refused.discard()

    with refused.sessions() as session:
        ids = session.scalars(select(SyncRecord.id).where(SyncRecord.kind == "entry"))
        assert sorted(ids) == ["0", "1"]


def test_an_entry_that_was_not_signed_within_the_hour_is_discarded_with_its_change(log, clock):
    """Killed between commit and signature, and started again too late: publish it anew."""
    log.append()
    clock.advance(hours=1, seconds=1)
    assert log.sign().size == 0

    assert list(log.discard().entries) == [0, 1]

    assert log.leaves() == []
    assert log.count(Change) == log.count(ChangeWords) == 0
    log.append()
    assert log.sign().signed == 2


def test_what_waits_lawfully_before_a_refused_entry_is_signed(log, clock):
    log.append()
    log.slip_in_a_change()

    done = log.discard()

    assert (done.size, list(done.entries)) == (2, [2])
    assert log.head().text.splitlines()[1] == "2"
    assert len(statefile.read(log.settings.data)) == 2


def test_lawful_entries_are_never_discarded(log):
    log.append()

    with pytest.raises(NothingToDiscard):
        log.discard()
    assert log.sign().signed == 2


def test_in_another_trouble_nothing_is_discarded(refused):
    (refused.settings.data / "secrets" / keyfile.NAME).unlink()

    with pytest.raises(NotMended, match=r"log\.key, is missing"):
        refused.discard()
    assert len(refused.leaves()) == 3


def test_a_size_that_was_lowered_by_hand_makes_no_signed_entry_discardable(log):
    log.append()
    log.sign()
    log.by_sql("UPDATE log_checkpoint SET size = 1")
    (log.settings.data / "secrets" / statefile.NAME).unlink()

    with pytest.raises(NotMended, match="says that 1 entries are signed, its checkpoint 2"):
        log.discard()
    assert len(log.leaves()) == 2


def test_the_command_discards_and_journals_why(app, refused, journal):
    done = app.test_cli_runner().invoke(args=["log", "discard"])

    assert (done.exit_code, done.output) == (0, "1 entry discarded; 2 are signed.\n")
    event = next(event for event in journal() if event.tag == "log:discarded")
    assert event.details["entries"] == "2"
    assert event.details["why"].startswith("Entry 2 is not signed: ")


def test_the_command_refuses_where_nothing_is_refused(app, catalog):
    done = app.test_cli_runner().invoke(args=["log", "discard"])

    assert done.exit_code == 1
    assert "there is nothing to discard" in done.output
