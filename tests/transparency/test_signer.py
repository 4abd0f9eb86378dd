import base64
import json
import stat
import threading

import pytest
from sqlalchemy import select

from plimsoll.contract import canonical, checkpoint, merkle
from portal.core.db import wakeup_of
from portal.core.seal import SyncHead, SyncRecord
from portal.transparency import keyfile, statefile
from portal.transparency.jobs import jobs
from portal.transparency.models import LogEntry


def verified(log) -> checkpoint.Checkpoint:
    public_key = checkpoint.public_key_of(keyfile.load(log.settings.data))
    return checkpoint.verify(log.head().text, log.settings.origin, public_key)


def test_what_was_appended_is_signed(log):
    log.append()

    outcome = log.sign()

    assert (outcome.size, outcome.signed, outcome.trouble) == (2, 2, None)
    leaves = [leaf.encode() for leaf in log.leaves()]
    assert verified(log) == (log.settings.origin, 2, merkle.root(leaves))


def test_gateways_get_the_leaves_to_the_byte_and_the_checkpoint(log):
    log.append()
    log.sign()

    with log.sessions() as session:
        records = {(row.kind, row.id): row.data for row in session.scalars(select(SyncRecord))}
    assert [records["entry", "0"], records["entry", "1"]] == log.leaves()
    assert canonical.decode(records["checkpoint", "log"]) == {"text": log.head().text}


def test_the_log_is_opened_with_its_origin_its_key_and_the_notice_promised(log):
    log.append()

    opened = canonical.decode(log.leaves()[0])

    assert opened["kind"] == "log.opened"
    assert opened["body"]["origin"] == "127.0.0.1:5000/log"
    assert opened["body"]["notice"]["tightening_seconds"] == 30 * 86_400
    key = keyfile.load(log.settings.data)
    assert opened["body"]["public_key"] == base64.b64encode(checkpoint.public_key_of(key)).decode()


def test_the_state_file_holds_size_root_and_all_entries_for_the_owner_only(log):
    log.append()
    log.sign()

    path = log.settings.data / "secrets" / statefile.NAME
    head, *leaves = path.read_text().splitlines()
    assert leaves == log.leaves()
    assert json.loads(head)["size"] == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((path.parent / keyfile.NAME).stat().st_mode) == 0o600


def test_a_pass_that_finds_nothing_writes_nothing(log):
    log.append()
    sign = jobs(log.sessions, log.settings)[0]
    assert sign.run() == 2
    seen = wakeup_of(log.sessions).count

    assert [sign.run(), sign.run()] == [0, 0]
    assert wakeup_of(log.sessions).count == seen


def test_a_pass_in_trouble_does_not_wake_the_next_one(log):
    """A job that committed on each pass would run without a pause."""
    log.append()
    (log.settings.data / "secrets" / keyfile.NAME).unlink()
    assert log.sign().trouble
    seen = wakeup_of(log.sessions).count

    assert "log.key" in log.sign().trouble
    assert wakeup_of(log.sessions).count == seen


def test_signers_at_once_sign_once(log):
    log.append()
    revision = revision_of(log)

    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(log.sign().signed)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [0, 0, 0, 0, 0, 2]
    assert revision_of(log) == revision + 1


def revision_of(log) -> int:
    with log.sessions() as session:
        return session.scalar(select(SyncHead.revision))


def test_an_entry_slipped_in_by_sql_is_never_signed(log):
    log.append()
    log.sign()
    log.slip_in_a_change()

    outcome = log.sign()

    assert (outcome.size, outcome.signed) == (2, 0)
    assert outcome.trouble.startswith("Entry 2 is not signed: ")
    assert log.head().trouble == outcome.trouble
    assert verified(log).size == 2


def test_what_is_no_entry_at_all_is_never_signed(log):
    log.append()
    log.by_sql("INSERT INTO log_entries VALUES (2, 9999999999, 'log.opened', 'no json')")

    outcome = log.sign()

    assert outcome.size == 2
    assert "Entry 2 is not signed" in outcome.trouble


def test_an_entry_of_another_hour_is_not_signed(log, clock):
    log.append()
    clock.advance(hours=1, seconds=1)

    outcome = log.sign()

    assert (outcome.size, log.head().text) == (0, None)
    assert "more than an hour from this machine's clock" in outcome.trouble


def test_an_entry_of_this_hour_is_signed_late(log, clock):
    log.append()
    clock.advance(hours=1)

    assert log.sign().signed == 2


def test_a_database_behind_the_state_file_gets_no_second_history(log):
    """An older backup was restored: what it would sign next contradicts what is public already."""
    log.append()
    log.sign()
    leaves = [leaf.encode() for leaf in log.leaves()]
    statefile.write(log.settings.data, [*leaves, b'{"at":1,"body":{},"kind":"x","seq":2}'])

    outcome = log.sign(thorough=False)

    assert outcome.signed == 0
    assert "log.state holds 3 signed entries, the database 2" in outcome.trouble
    assert statefile.read_head(log.settings.data).size == 3


def test_an_empty_database_beside_a_state_file_gets_no_second_history(log):
    log.append()
    statefile.write(log.settings.data, [leaf.encode() for leaf in log.leaves()])

    assert "an older state of the database" in log.sign().trouble
    assert log.head().text is None


def test_a_state_file_behind_the_database_is_extended(log):
    log.append()
    log.sign()
    (log.settings.data / "secrets" / statefile.NAME).unlink()

    assert log.sign(thorough=False) == (outcome := log.sign())
    assert (outcome.size, outcome.signed, outcome.trouble) == (2, 0, None)
    assert statefile.read(log.settings.data) == [leaf.encode() for leaf in log.leaves()]


@pytest.mark.parametrize("damage", [b"no json\n", b'{"size":2,"root":""}\n', b""])
def test_a_damaged_state_file_stops_the_signer(log, damage):
    log.append()
    path = log.settings.data / "secrets" / statefile.NAME
    path.write_bytes(damage)

    outcome = log.sign(thorough=False)

    assert outcome.size == 0
    assert "secrets/log.state" in outcome.trouble


def test_another_key_signs_nothing(log):
    log.append()
    path = log.settings.data / "secrets" / keyfile.NAME
    path.unlink()
    keyfile.load_or_make(log.settings.data)

    assert "is not the key that the log was opened with" in log.sign().trouble


def test_a_key_file_that_holds_no_key_signs_nothing(log):
    log.append()
    (log.settings.data / "secrets" / keyfile.NAME).write_text("c2hvcnQ=")

    assert "does not hold 32 bytes" in log.sign().trouble


def test_a_signed_entry_that_was_altered_is_noticed(log):
    log.append()
    log.sign()
    log.without_triggers()
    log.by_sql("UPDATE log_entries SET text = replace(text, '1000', '1001') WHERE seq = 1")

    assert log.sign().trouble == "Entry 1 in the database is not the one that was signed."


def test_without_the_state_file_the_checkpoint_still_notices(log):
    log.append()
    log.sign()
    log.without_triggers()
    log.by_sql("UPDATE log_entries SET text = replace(text, '1000', '1001') WHERE seq = 1")
    (log.settings.data / "secrets" / statefile.NAME).unlink()

    assert "are not those signed" in log.sign().trouble


def test_a_forged_checkpoint_is_noticed(log):
    log.append()
    log.sign()
    log.by_sql("UPDATE log_checkpoint SET text = replace(text, '— ', '— x')")

    assert "is not ours" in log.sign().trouble


def test_trouble_goes_away_with_its_cause(log):
    log.append()
    path = log.settings.data / "secrets" / keyfile.NAME
    kept = path.read_text()
    path.unlink()
    log.sign()

    path.write_text(kept)

    assert log.sign().signed == 2
    assert log.head().trouble is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_entries SET at = at WHERE seq = 0",
        "DELETE FROM log_entries WHERE seq = 1",
        "INSERT INTO log_entries VALUES (5, 9999999999, 'x', '{}')",
        "INSERT INTO log_entries VALUES (2, 1, 'x', '{}')",
    ],
    ids=["update", "delete signed", "gap", "older"],
)
def test_sql_itself_refuses(log, statement):
    log.append()
    log.sign()

    with pytest.raises(Exception, match="log entry"):
        log.by_sql(statement)

    assert log.count(LogEntry) == 2


def test_an_unsigned_entry_can_be_deleted(log):
    log.append()

    log.by_sql("DELETE FROM changes")
    log.by_sql("DELETE FROM log_entries WHERE seq = 1")

    assert log.count(LogEntry) == 1
