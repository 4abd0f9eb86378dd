import pytest

from plimsoll.contract import canonical, checkpoint, merkle
from plimsoll.contract.draft import parse_draft
from portal.changelog.commands import publish_change
from portal.core import clock as core_clock
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.transparency import queries as queries_module
from portal.transparency.commands import append_entry
from portal.transparency.errors import LogTroubled, LogUnverified, UnlawfulEntry
from portal.transparency.models import LogEntry
from portal.transparency.queries import find_fingerprint, policy, signed_log
from portal.transparency.signer import fingerprint, log_transaction
from tests.transparency.publisher import publish

NOBODY = bytes(32)
DAY = 86_400


def limits_now(log):
    with log.sessions() as session:
        return policy(session, core_clock.timestamp()).limits


def test_only_signed_entries_are_folded(log):
    log.append()
    assert limits_now(log) == {}

    log.sign()

    assert len(limits_now(log)) == 39


def test_an_entry_behind_the_signed_ones_changes_nothing(log):
    log.append()
    log.sign()
    log.slip_in_a_change()

    with log.sessions() as session:
        assert list(policy(session, core_clock.timestamp()).changes) == [1]


def test_a_size_written_by_hand_makes_nothing_folded(log):
    """The checkpoint's own text counts, since its signature is checked; a column beside it does not."""
    log.append()
    log.by_sql("UPDATE log_checkpoint SET size = 2")

    assert limits_now(log) == {}


def test_a_checkpoint_of_another_key_is_not_believed(log):
    log.append()
    leaves = [leaf.encode() for leaf in log.leaves()]
    text = checkpoint.sign(
        origin=log.settings.origin, size=2, root=merkle.root(leaves), private_key=NOBODY
    )
    log.by_sql("UPDATE log_checkpoint SET size = 2, text = :text", text=text)

    with pytest.raises(LogUnverified):
        limits_now(log)


def test_entries_that_do_not_fit_the_checkpoint_are_not_believed(log, clock):
    log.append()
    log.sign()
    log.without_triggers()
    log.by_sql("UPDATE log_entries SET text = replace(text, '1000', '1001') WHERE seq = 1")

    with pytest.raises(LogUnverified):
        limits_now(log)


def test_a_page_costs_one_small_query(log, count_queries):
    log.append()
    log.sign()
    limits_now(log)

    with count_queries() as queries:
        limits_now(log)

    assert [each for each in queries.statements if "SELECT" in each] == queries.statements[-1:]


def test_before_the_first_change_there_is_no_limit(log, clock):
    log.append()
    log.sign()

    with log.sessions() as session:
        assert policy(session, core_clock.timestamp() - 1).limits == {}
        assert policy(session, core_clock.timestamp(), known_at=0).limits == {}
        assert len(policy(session, core_clock.timestamp(), known_at=2**40).limits) == 39


def test_an_unlawful_entry_is_refused_when_it_is_appended(log):
    log.append()
    log.sign()

    with pytest.raises(UnlawfulEntry), log.sessions() as session, transaction(session):
        append_entry(session, kind="change.announced", body=lambda _: {})

    assert log.count(LogEntry) == 2


def test_while_nothing_is_signed_nothing_is_appended(log):
    """Entries behind one that cannot be signed would only be lost with it."""
    log.append()
    log.by_sql("INSERT INTO log_entries VALUES (2, 9999999999, 'change.held', '{}')")

    with (
        pytest.raises(LogTroubled),
        log.sessions() as session,
        log_transaction(session, log.sessions, settings=log.settings, actor=CLI),
    ):
        pytest.fail("the transaction must not begin")

    with pytest.raises(LogTroubled), log.sessions() as session, transaction(session):
        append_entry(session, kind="change.held", body=lambda _: {})


def test_the_fingerprint_is_the_same_before_and_after_the_log_is_opened(log):
    with log.sessions() as session:
        before = fingerprint(session, log.settings)
    log.append()

    with log.sessions() as session:
        assert find_fingerprint(session) == fingerprint(session, log.settings) == before


def test_the_log_is_opened_once(log):
    with (
        log.sessions() as session,
        log_transaction(session, log.sessions, settings=log.settings, actor=CLI),
    ):
        pass

    log.append()
    log.sign()

    kinds = [canonical.decode(leaf)["kind"] for leaf in log.leaves()]
    assert kinds == ["log.opened", "change.announced"]
    with log.sessions() as session:
        assert signed_log(session).size == 2


def test_a_refusal_for_too_little_notice_names_the_first_lawful_instant(log, catalog, clock):
    cut = {"tier": "start", "model": "opus-5", "metric": "requests", "kind": "bucket", "period": 60}
    draft = parse_draft(
        {"title": "Cut", "reason": "Why.", "rows": [cut | {"quota": 900, "burst": 900}]}
    )

    with pytest.raises(UnlawfulEntry) as refused, log.sessions() as session, transaction(session):
        publish_change(session, actor=CLI, draft=draft)

    assert refused.value.earliest == core_clock.timestamp() + 30 * DAY
    assert "from 1,000 to 900" in refused.value.public


def test_what_was_known_then_is_folded_from_the_entries_of_then(log, catalog, clock):
    before = core_clock.timestamp()
    clock.advance(hours=1)
    publish(log.sessions, log.settings, 7)

    with log.sessions() as session:
        now = core_clock.timestamp()
        signed = signed_log(session)
    assert ("build", "model-7") in signed.policy(now).offers
    assert ("build", "model-7") not in signed.policy(now, before).offers
    assert signed.known(before) is signed.known(before + 1)
    assert signed.known(now) is signed


def test_the_next_step_is_the_next_instant_at_which_a_change_takes_effect(log, catalog, clock):
    now = core_clock.timestamp()

    with log.sessions() as session:
        signed = signed_log(session)

    first = signed.history.changes[1].effective_at
    assert (signed.next_step(first - 1), signed.next_step(now)) == (first, None)


def test_a_log_that_went_back_is_read_anew(log, catalog, clock):
    """An older backup was restored under a running process, which had the longer log in memory."""
    publish(log.sessions, log.settings, 7)
    with log.sessions() as session:
        assert signed_log(session).size == 3
    log.lose_the_last_entry()

    with log.sessions() as session:
        signed = signed_log(session)
    assert (signed.size, signed.history.size) == (2, 2)


def test_of_a_grown_log_only_what_is_new_is_read(log, catalog, count_queries):
    queries_module._logs.clear()
    with log.sessions() as session:
        signed_log(session)
    publish(log.sessions, log.settings, 7)
    queries_module._logs.popitem()

    with log.sessions() as session, count_queries() as asked:
        assert signed_log(session).size == 3

    assert len([each for each in asked.statements if "log_entries" in each]) == 1
