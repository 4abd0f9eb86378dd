"""A thread that many organisations vote or write in holds its change until it is decided."""

from dataclasses import replace
from datetime import date

import pytest

from plimsoll.contract.history import State
from portal.changelog.holds import list_holds
from portal.core.db import transaction
from portal.feedback import holds
from portal.feedback.holds import Attention, count_orgs, list_to_hold
from portal.feedback.models import AttentionHold, Outcome
from portal.orgs.commands import suspend_org
from portal.orgs.models import Org
from portal.transparency.queries import signed_log
from tests.feedback.board import Board
from tests.support.change_files import CELL, change_file, in_days, unix


@pytest.fixture
def board(board):
    """Three organisations are enough here."""
    return Board(board.sessions, replace(board.settings, attention_threshold=3), board.cast)


@pytest.fixture
def change(log):
    return lambda number=2: log().history.changes[number]


@pytest.fixture
def announced(board, publish):
    """A tightening with its thread, number 1."""
    publish(change_file(effective_at=in_days(40)))
    board.work()


def test_enough_organisations_hold_the_change_and_a_decision_releases_it(
    announced, board, change, clock
):
    board.crowd(1, 2)
    board.work()
    assert change().steps == ()

    board.reply(1, board.cast.ben)
    clock.advance(days=2)
    board.work()
    board.work()
    assert change().state(unix(2)) is State.HELD
    assert change().hold_reason.startswith("3 organisations voted or wrote in feedback thread 1")

    clock.advance(days=3)
    board.decide(1, outcome=Outcome.NOT_ADOPTED)
    board.work()
    board.work()

    assert [step.kind for step in change().steps] == ["change.held", "change.released"]
    # 38 days were left when it was held; they count from the release.
    assert change().effective_at == unix(43)
    (hold,) = board.rows(AttentionHold)
    assert (hold.orgs, hold.lifted_at) == (3, clock.at)


def test_each_organisation_counts_once_and_the_suspended_do_not(announced, board, change):
    """Two people of one organisation, who vote and write, are one voice; a withdrawn one is none."""
    orgs = board.crowd(1, 2)
    board.vote(1, board.cast.ada)
    board.reply(1, board.cast.ben)
    with board.sessions() as session:
        assert count_orgs(session, board.thread(1).id) == 3
    with board.sessions() as session, transaction(session):
        org = session.get_one(Org, orgs[0].id, with_for_update=True)
        suspend_org(session, actor=board.cast.root.actor, org=org, reason="Abuse.")

    board.work()

    assert change().steps == ()


def test_a_deferred_decision_leaves_the_question_and_the_hold(announced, board, change):
    board.crowd(1, 3)
    board.work()

    board.decide(1, outcome=Outcome.DEFERRED, until_on=date(2027, 1, 5))
    board.work()
    assert change().status == "held"

    board.decide(1, outcome=Outcome.PARTLY)
    board.work()
    assert change().status == "announced"


def test_a_deferral_before_the_many_came_keeps_no_change_from_being_held(announced, board, change):
    board.decide(1, outcome=Outcome.DEFERRED, until_on=date(2027, 6, 1))
    board.crowd(1, 3)

    board.work()

    assert change().status == "held"
    board.decide(1, outcome=Outcome.NOT_ADOPTED)
    board.work()
    assert change().status == "announced"


def test_nobody_lifts_the_hold_by_hand(announced, board, change, run, sign):
    board.crowd(1, 3)
    board.work()

    done = run("changes", "release", "2", "--name", "feedback")
    question = sign("root").get("/admin/changes/2/release").form("act-form")
    page = question.submit(status=422)

    assert done.exit_code == 1
    assert "decide the feedback thread" in done.output
    assert "decide the feedback thread" in page.text
    assert change().status == "held"


def test_nobody_takes_the_name_of_the_hold(announced, board, change, run):
    """Else the job would find its own hold there, and place none."""
    done = run("changes", "hold", "2", "--name", "feedback", "--reason", "Mine.")

    assert done.exit_code == 1
    board.crowd(1, 3)
    board.work()
    assert change().status == "held"


def test_a_hold_that_is_discarded_unsigned_is_placed_again(announced, board, change, run, clock):
    board.crowd(1, 3)
    with board.sessions() as session:
        (due,) = list_to_hold(session, signed_log(session).history, 3)
    with board.sessions() as session, transaction(session):
        holds._hold(session, due)
    clock.advance(hours=2)
    assert "discarded" in run("log", "discard").output
    assert change().status == "announced"

    board.work()
    board.work()

    assert [step.kind for step in change().steps] == ["change.held"]
    board.decide(1)
    board.work()
    assert change().status == "announced"


def test_a_change_that_staff_hold_too_waits_for_both(announced, board, change, run):
    run("changes", "hold", "2", "--reason", "We look again.")
    board.crowd(1, 3)
    board.work()

    run("changes", "release", "2")
    with board.sessions() as session:
        assert [hold.name for hold in list_holds(session, 2)] == ["feedback"]
    assert change().status == "held"

    board.decide(1)
    board.work()
    assert change().status == "announced"


def test_what_is_decided_or_in_force_is_not_held(announced, board, change, clock):
    board.decide(1)
    board.crowd(1, 3)
    board.work()
    assert change().steps == ()

    clock.advance(days=41)
    board.work()
    assert change().steps == ()


def test_a_withdrawn_change_ends_the_hold_without_a_release(announced, board, change, publish):
    board.crowd(1, 3)
    board.work()
    publish(change_file(4500, replaces=[2], effective_at=in_days(45)))

    board.decide(1, change=3)
    board.work()

    assert change().status == "withdrawn"
    assert [each.lifted_at is not None for each in board.rows(AttentionHold)] == [True]
    # The milder one opened a thread of its own.
    assert board.thread(2).change == 3


def test_a_hold_that_the_rule_refuses_is_told_to_the_staff_once_and_tried_again(
    board, change, publish, run, clock, caplog
):
    """Change 3 takes nothing away beside change 2; with that held it would, at too short a notice."""
    hours = {**CELL, "kind": "window"}
    publish(
        change_file(rows=[{**hours, "period": 3600, "quota": 250_000}], effective_at=in_days(40))
    )
    board.work()
    clock.advance(days=20)
    publish(
        change_file(rows=[{**hours, "period": 7200, "quota": 500_000}], effective_at=in_days(41))
    )
    board.crowd(1, 3)
    attention = Attention(board.sessions, board.settings)

    placed = [attention.run(), attention.run()]
    clock.advance(hours=1)
    placed.append(attention.run())

    assert placed == [0, 0, 0]
    assert len(caplog.messages) == 2, "it was tried again after an hour, and not before"
    (mail,) = board.mails(board.thread(1).id)
    assert (mail.to, mail.subject) == ("root@example.com", "Change 2: its hold was refused")
    assert "30 days' notice are promised" in mail.text
    assert (change().steps, board.rows(AttentionHold)) == ((), [])

    run("changes", "withdraw", "3", "--reason", "It stands in the way.")
    assert attention.run() == 1
    assert change().status == "held"
