"""Withdraw, reschedule, hold, release and amend, by the command line."""

import pytest
from sqlalchemy import select

from portal.changelog.holds import hold_change, list_holds, release_change
from portal.changelog.models import ChangeHold, ChangeWords
from portal.core.actor import JOB
from portal.core.db import transaction
from tests.support.change_files import change_file, in_days, unix

pytestmark = pytest.mark.usefixtures("catalog", "clock")


@pytest.fixture
def announced(publish):
    """Change 2 cuts Build · Sonnet 5 · requests per minute on day 40."""
    return publish(change_file(effective_at=in_days(40)))


@pytest.fixture
def change(log):
    """A change as the signed log has it."""
    return lambda number=2: log().history.changes[number]


def test_a_withdrawn_change_never_takes_effect(run, announced, change, journal):
    done = run("changes", "withdraw", "2", "--reason", "We found room.")

    assert done.exit_code == 0, done.output
    assert (change().status, change().withdraw_reason) == ("withdrawn", "We found room.")
    assert journal()[-1].details == {"number": 2, "entry": 3, "reason": "We found room."}


def test_an_emergency_cut_is_ended_early(run, publish, change, clock):
    publish(change_file(**{"class": "emergency_cut", "expires_at": in_days(2)}))
    clock.advance(hours=5)

    run("changes", "withdraw", "2", "--reason", "It is over.")

    assert change().expires_at == unix(0, hours=5)
    assert change().state(unix(1)) == "ended"


def test_a_withdrawal_lifts_what_held_the_change(run, announced, session):
    run("changes", "hold", "2", "--reason", "Wait.")

    run("changes", "withdraw", "2", "--reason", "No more.")

    assert list_holds(session, 2) == []


def test_a_change_is_put_off(run, announced, change):
    run("changes", "reschedule", "2", "--effective-at", in_days(60))

    assert change().effective_at == unix(60)


def test_a_temporary_raise_that_is_put_off_keeps_its_length(run, publish, change):
    raised = {"class": "temporary_raise", "effective_at": in_days(5), "expires_at": in_days(8)}
    publish(change_file(6000, **raised))

    run("changes", "reschedule", "2", "--effective-at", in_days(6))

    assert (change().effective_at, change().expires_at) == (unix(6), unix(9))


def test_an_earlier_time_needs_the_whole_notice(run, announced, change, counts):
    before = counts()

    done = run("changes", "reschedule", "2", "--effective-at", in_days(20))

    assert done.exit_code == 1
    assert "the earliest effective time is 2026-12-02 12:00 UTC" in done.stderr
    assert counts() == before
    assert change().effective_at == unix(40)


def test_a_held_change_waits_for_its_release(run, announced, change, clock, log):
    run("changes", "hold", "2", "--reason", "Someone objects.")
    clock.advance(days=50)

    assert (change().status, change().hold_reason) == ("held", "Someone objects.")
    assert log().policy(unix(50)).limits == log().policy(unix(0)).limits


def test_a_release_keeps_the_instant_where_that_is_lawful(run, announced, change):
    run("changes", "hold", "2", "--reason", "Wait.")

    run("changes", "release", "2")

    assert (change().status, change().effective_at) == ("announced", unix(40))


def test_a_late_release_gives_the_notice_that_was_left(run, announced, change, clock):
    run("changes", "hold", "2", "--reason", "Wait.")
    clock.advance(days=10)

    run("changes", "release", "2")

    assert change().effective_at == unix(50)


def test_the_log_sees_the_first_hold_and_the_end_of_the_last(
    announced, session, sessions, settings, change, journal
):
    act(session, sessions, settings, hold_change, name="staff", reason="One.")
    act(session, sessions, settings, hold_change, name="delivery", reason="notice_not_delivered")
    act(session, sessions, settings, release_change, name="staff")
    held = change()

    act(session, sessions, settings, release_change, name="delivery")

    assert (held.status, held.hold_reason, len(held.steps)) == ("held", "One.", 1)
    assert (change().status, len(change().steps)) == ("announced", 2)
    tags = [event.tag for event in journal()][-4:]
    assert tags == ["change:held", "change:held", "change:released", "change:released"]


def act(session, sessions, settings, command, **values):
    from portal.transparency.signer import log_transaction

    with log_transaction(session, sessions, settings=settings, actor=JOB):
        command(session, actor=JOB, number=2, **values)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("hold", "2", "--reason", "Again."), "held under this name already"),
        (("release", "2", "--name", "delivery"), "not held under this name"),
    ],
)
def test_holds_are_told_apart_by_their_names(run, announced, counts, arguments, text):
    run("changes", "hold", "2", "--reason", "Wait.")
    before = counts()

    done = run("changes", *arguments)

    assert (done.exit_code, text in done.stderr) == (1, True)
    assert counts() == before


def test_what_fell_with_another_change_is_released_by_its_number(run, announced, publish, change):
    publish(change_file(3000, effective_at=in_days(50)))
    run("changes", "hold", "2", "--reason", "Wait.")
    fallen = change(3)

    done = run("changes", "release", "3")

    assert (fallen.status, fallen.held_by) == ("held", 2)
    assert done.exit_code == 0, done.output
    assert change(3).status == "announced"


def test_the_database_keeps_two_holds_of_one_name_apart(session, sessions, announced):
    """Two at once: the index decides, whatever the command saw."""
    from sqlalchemy.exc import IntegrityError

    def place(name):
        return ChangeHold(id=f"hld_{name}", number=2, name="staff", reason="x")

    with pytest.raises(IntegrityError), transaction(session):
        session.add_all([place("a"), place("b")])


def test_other_words_make_a_new_version_and_keep_the_old(run, announced, change, session):
    run("changes", "amend", "2", "--title", "Fewer, said better", "--reason", "Because\n\nof it.")

    assert [wording.title for wording in change().wordings] == [
        "Fewer requests",
        "Fewer, said better",
    ]
    rows = session.scalars(select(ChangeWords).where(ChangeWords.number == 2))
    assert {row.version: row.reason for row in rows} == {1: "Room for all.", 2: "Because\n\nof it."}


BAD = {
    "withdraw what is in force": (("withdraw", "1", "--reason", "x"), "in force already"),
    "withdraw what is not": (("withdraw", "9", "--reason", "x"), "There is no change 9."),
    "withdraw without a reason": (("withdraw", "2", "--reason", " "), "must not be empty"),
    "put off to the past": (("reschedule", "2", "--effective-at", in_days(-1)), "past"),
    "release what is not held": (("release", "2"), "not held"),
    "hold what is in force": (("hold", "1", "--reason", "x"), "in force already"),
    "too long a reason": (("hold", "2", "--reason", "x" * 201), "at most 200 characters"),
    "the same words": (
        ("amend", "2", "--title", "Fewer requests", "--reason", "Room for all."),
        "nothing would change",
    ),
}


@pytest.mark.parametrize(("arguments", "text"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    run, announced, counts, arguments, text
):
    before = counts()

    done = run("changes", *arguments)

    assert done.exit_code == 1
    assert text in done.stderr
    assert counts() == before
