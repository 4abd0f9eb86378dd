"""The clocks run in public: what was promised, what was kept, and what was missed stays so."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from portal.feedback import commands, decisions
from portal.feedback.clocks import Pace, answer_due_at, clocks_of, decision_due_at
from portal.feedback.models import Outcome
from tests.feedback.board import Board
from tests.support.change_files import change_file, in_days
from tests.support.pages import words

MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("asked", "due"),
    [(0, 3), (1, 4), (2, 7), (3, 8), (4, 9)],
    ids=["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
)
def test_an_answer_is_due_after_three_working_days(asked, due):
    assert answer_due_at(MONDAY + asked * DAY) == MONDAY + due * DAY


@pytest.mark.parametrize(("effective", "due"), [(30, 14), (14, 14), (5, 5), (0, 14)])
def test_a_decision_is_due_in_14_days_and_before_the_change_takes_effect(effective, due):
    assert decision_due_at(MONDAY, MONDAY + effective * DAY) == MONDAY + due * DAY


def test_the_page_tells_medians_and_misses_and_never_forgets_one(board, publish, clock, visit):
    publish(change_file(effective_at=in_days(60)))
    board.work()
    late, quick, silent = (
        board.open(title="Late"),
        board.open(title="Quick"),
        board.open(title="No"),
    )
    clock.advance(hours=4)
    board.reply(quick, board.cast.root)
    clock.advance(days=10)
    board.reply(late, board.cast.root)
    clock.advance(days=10)
    board.decide(1)

    page = visit.get("/feedback/clocks")

    months = "by the month in which threads were opened"
    answers = page.table(f"First answers, {months}").row("2026-11")
    assert list(answers.values())[1:] == ["4", "10 days 4 hours", "3", "1", "2"]
    decisions = page.table(f"Decisions, {months}").row("2026-11")
    assert list(decisions.values())[1:] == ["4", "20 days 4 hours", "1", "0", "1"]
    missed = page.table("What was missed, newest first")
    assert (missed.row("No")["Done"], missed.row("Late")["What"]) == ("not yet", "First answer")
    clock.advance(days=300)
    assert "Change 2: Fewer requests" in visit.get("/feedback/clocks").text
    assert board.thread(silent).closed_at is None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_thread_shows_its_clocks_and_what_they_came_to(board, clock, visit):
    number = board.open()
    assert "Running" in visit.get(f"/feedback/{number}").text

    clock.advance(days=10)
    assert "Missed" in visit.get(f"/feedback/{number}").text
    board.reply(number, board.cast.root)
    assert "Late" in visit.get(f"/feedback/{number}").text


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_the_portal_opened_is_to_be_answered_once_somebody_writes(board, publish, clock):
    publish(change_file(effective_at=in_days(40)))
    board.work()
    clock.advance(days=5)
    board.reply(1, board.cast.ben)

    answer, decision = clocks_of(board.thread(1), [], at=clock.at)

    assert (answer.pace, decision.pace) == (Pace.RUNNING, Pace.RUNNING)
    assert answer.due_at > clock.at


def lead(visit, number):
    return words(visit.get(f"/feedback/{number}").one(".page-header-lead"))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_first_line_says_how_a_thread_stands(board, clock, visit):
    number, closed = board.open(), board.open()

    due = "2026-11-05 12:00 UTC"
    assert lead(visit, number) == f"Not decided yet. A first answer is promised by {due}."
    clock.advance(days=4)
    assert lead(visit, number) == (
        f"Not decided yet. A first answer was promised by {due}: it is late."
    )
    board.reply(number, board.cast.root)
    assert lead(visit, number) == "Not decided yet, but answered."
    board.decide(number)
    at = "2026-11-06 12:00 UTC"
    assert lead(visit, number) == f"Adopted, partly: decided {at}."
    board.step(number, decisions.deliver)
    assert lead(visit, number) == f"Adopted, partly: decided {at}, delivered {at}."
    with board.changing(closed) as (session, thread):
        commands.close_own_thread(session, actor=board.cast.ada.actor, thread=thread)
    assert lead(visit, closed) == f"Closed by its author {at}, without a decision."


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_first_line_of_a_tightening_says_whether_it_is_held(board, publish, visit):
    publish(change_file(effective_at=in_days(40)))
    board = Board(board.sessions, replace(board.settings, attention_threshold=3), board.cast)
    board.work()
    promise = "Not decided yet. A decision is promised by 2026-11-16 12:00 UTC."
    assert lead(visit, 1) == promise

    board.crowd(1, 3)
    board.work()
    assert lead(visit, 1) == f"{promise} Change 2 is held until its thread is decided."
    board.decide(1, outcome=Outcome.DEFERRED, until_on=date(2027, 1, 5))
    board.work()
    assert lead(visit, 1).endswith("Change 2 is held until its thread is decided for good.")
