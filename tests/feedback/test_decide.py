"""A thread ends with a decision and a reason, whose record enters the public log."""

import hashlib
import threading
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from portal.core.actor import CLI, JOB, Actor
from portal.core.db import transaction
from portal.core.errors import Conflict, Forbidden, Invalid
from portal.feedback import decisions
from portal.feedback.clocks import clocks_of
from portal.feedback.errors import ThreadMoved
from portal.feedback.models import Decision, Outcome, State, Thread
from portal.feedback.policy import takes_posts
from portal.feedback.steps import record_text, token_of
from tests.support.change_files import change_file

REASON = "Half of it is possible.\n\nThe rest would take from **others**."


@pytest.fixture
def as_root(visit, cast):
    cast.sign_in(visit.client, cast.root)
    return visit


@pytest.fixture
def number(board):
    return board.open()


def form_of(visit, number, act, **values):
    return visit.get(f"/admin/feedback/{number}/{act}").form("feedback-form").fill(values)


def test_a_decision_is_read_on_the_page_and_its_text_is_what_the_log_holds(
    as_root, both_ways, board, number, log, client, journal, clock
):
    later = clock.at.date() + timedelta(days=90)
    form = form_of(as_root, number, "decide", outcome="partly", reason=REASON)
    form.fill({"weighed": "What it costs.", "review_on": later.isoformat()})

    page = form.submit(htmx=both_ways.is_htmx, redirect=f"/feedback/{number}")

    entry = log().entries[-1]
    assert "Decision: Adopted, partly" in page.text
    assert "The rest would take from others." in page.text
    assert (entry["kind"], entry["body"]["outcome"]) == ("decision.recorded", "partly")
    assert (entry["body"]["thread"], entry["body"]["change"]) == (number, None)
    told = client.get(f"/feedback/{number}/decisions/{entry['body']['id']}.md")
    assert told.mimetype == "text/markdown"
    assert hashlib.sha256(told.data).hexdigest() == entry["body"]["reason_sha256"]
    assert told.text.startswith(REASON)
    assert "feedback:thread:decided" in [event.tag for event in journal()]
    assert board.thread(number).state is State.DECIDED
    assert board.thread(number).first_answer_at == clock.at


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"outcome": "partly", "reason": ""}, "reason", "Say why"),
        ({"outcome": "partly", "reason": "  "}, "reason", "Use 1 to"),
        ({"outcome": "deferred", "reason": "So."}, "until_on", "Say until when"),
        ({"outcome": "deferred", "reason": "So.", "until_on": "2020-01-01"}, "until_on", "ahead"),
        ({"outcome": "adopted", "reason": "So.", "until_on": "2030-01-01"}, "until_on", "Only a"),
        ({"outcome": "partly", "reason": "So.", "review_on": "2020-01-01"}, "review_on", "ahead"),
        ({"outcome": "partly", "reason": "So.", "change": "9"}, "change", "There is no change 9"),
        ({"outcome": "partly", "reason": "So.", "change": "x"}, "change", "whole number"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_missing_or_wrong_is_said_beside_its_field(
    as_root, board, number, counts, values, field, said
):
    before = counts()

    page = form_of(as_root, number, "decide", **values).submit(status=422)

    assert said in page.errors[field]
    assert counts() == before
    assert board.thread(number).state is State.OPEN


@pytest.mark.parametrize("act", ["decide", "acknowledge", "review", "deliver", "answer"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_for_everyone_else_there_is_no_such_page(visit, cast, board, number, act, counts):
    before = counts()[:-1]
    for person in (cast.ada, cast.dan):
        cast.sign_in(visit.client, person)
        visit.get(f"/admin/feedback/{number}/{act}", status=404)
        visit.get("/admin/feedback", status=404)
        visit.get(f"/admin/feedback/{number}", status=404)

    # Signing in leaves its event in the journal; nothing else came.
    assert counts()[:-1] == before


def test_the_steps_on_the_way_are_seen_and_decide_nothing(as_root, both_ways, board, number):
    for act, state in (("acknowledge", State.ACKNOWLEDGED), ("review", State.UNDER_REVIEW)):
        to = f"/admin/feedback/{number}"
        form_of(as_root, number, act).submit(htmx=both_ways.is_htmx, redirect=to)
        assert board.thread(number).state is state
    assert board.thread(number).first_answer_at is None, "nobody has written a word yet"

    board.decide(number, outcome=Outcome.ADOPTED)
    page = form_of(as_root, number, "deliver").submit(
        htmx=both_ways.is_htmx, redirect=f"/admin/feedback/{number}"
    )
    assert board.thread(number).state is State.DELIVERED
    assert "Delivered" in page.text
    assert len(board.rows(Decision)) == 1


def test_who_was_slower_is_told_and_changes_nothing(as_root, board, number):
    form = form_of(as_root, number, "decide", outcome="adopted", reason="Yes.")
    board.decide(number, outcome=Outcome.NOT_ADOPTED)

    page = form.submit(status=422)

    assert "moved on while you were looking" in page.text
    assert [each.outcome for each in board.rows(Decision)] == [Outcome.NOT_ADOPTED]


def test_two_who_decide_at_once_leave_one_decision(board, number):
    barrier, said = threading.Barrier(2), []
    seen = token_of(board.thread(number))
    workers = [
        threading.Thread(target=decide_as_seen, args=(board, number, seen, barrier, said))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert said == ["thread_moved"]
    assert len(board.rows(Decision)) == 1


def decide_as_seen(board, number, seen, barrier, said):
    asked = decisions.Asked(outcome=Outcome.ADOPTED, reason="Yes.")
    barrier.wait()
    try:
        with board.logging() as session:
            thread = session.get_one(Thread, number, with_for_update=True)
            actor = board.cast.root.actor
            decisions.decide(session, actor=actor, thread=thread, seen=seen, asked=asked)
    except ThreadMoved as error:
        said.append(error.code)


def test_a_later_decision_supersedes_and_edits_nothing(board, number, clock, log):
    first = board.decide(number, outcome=Outcome.DEFERRED, until_on=date(2026, 12, 24))
    clock.advance(days=60)
    second = board.decide(number, outcome=Outcome.ADOPTED, reason="Now it is possible.")

    earlier, thread = board.decision(first), board.thread(number)
    assert (earlier.superseded_by, earlier.reason) == (second, "Half of it is possible.")
    assert (thread.decision_id, thread.decided_at) == (second, earlier.decided_at)
    kinds = [entry["kind"] for entry in log().entries]
    assert kinds[-2:] == ["decision.recorded"] * 2
    deferral = clocks_of(thread, [earlier, board.decision(second)], at=clock.at)[-1]
    assert deferral.is_missed, "it was to be decided by the 24th"


def test_a_decision_may_lock_its_thread(as_root, board, number):
    form = form_of(as_root, number, "decide", outcome="adopted", reason="Yes.", locks=True)
    form.submit(redirect=f"/feedback/{number}")

    thread = board.thread(number)
    assert thread.locked_for == thread.decision_id
    assert not takes_posts(thread)


def test_the_resulting_change_stands_in_the_record(board, number, publish, log, visit):
    publish(change_file(6000))

    board.decide(number, change=2)

    assert log().entries[-1]["body"]["change"] == 2
    assert log().history.problem is None
    assert "change 2" in visit.get(f"/feedback/{number}").text.lower()


def test_the_text_of_a_private_decision_is_for_those_inside(board, visit, cast):
    private = board.open(visibility="private")
    decision = board.decide(private, reason="For you alone.")
    address = f"/feedback/{private}/decisions/{decision}.md"

    assert visit.client.get(address).status_code == 404
    cast.sign_in(visit.client, cast.dan)
    assert visit.client.get(address).status_code == 404
    cast.sign_in(visit.client, cast.cleo)
    assert "For you alone." in visit.client.get(address).text


@pytest.mark.parametrize("actor", [CLI, JOB], ids=["command line", "job"])
@pytest.mark.parametrize("act", ["acknowledge", "start_review", "deliver"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_command_line_and_no_job_takes_a_step(board, number, act, actor):
    with board.changing(number) as (session, thread), pytest.raises(Conflict):
        getattr(decisions, act)(session, actor=actor, thread=thread, seen=token_of(thread))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_decision_needs_a_person_of_the_staff_and_a_reason(board, number, cast):
    asked = decisions.Asked(outcome=Outcome.ADOPTED, reason="Yes.")
    blank = decisions.Asked(outcome=Outcome.ADOPTED, reason=" ")
    refusals = [
        (CLI, asked, Conflict),
        (JOB, asked, Conflict),
        (cast.ada.actor, asked, Forbidden),
        (Actor(), asked, Forbidden),
        (cast.root.actor, blank, Invalid),
    ]

    for actor, given, refusal in refusals:
        with pytest.raises(refusal):
            board.decide(number, actor=actor, asked=given)

    assert board.rows(Decision) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE threads SET state = 'decided'",
        "UPDATE threads SET state = 'delivered'",
        "UPDATE threads SET state = 'decided', decision_id = 'dec_nothing'",
        "UPDATE threads SET locked_at = created_at",
        "UPDATE threads SET locked_at = created_at, locked_for = 'mod_nothing'",
        "UPDATE threads SET locked_at = created_at, locked_for = 'dec_nothing'",
        "UPDATE threads SET locked_at = created_at, locked_for = (SELECT id FROM decisions)",
        "UPDATE threads SET state = 'decided', decision_id = (SELECT id FROM decisions)",
        "UPDATE threads SET state = 'closed' WHERE state = 'open'",
        "UPDATE decisions SET reason = 'Another.'",
        "UPDATE decisions SET outcome = 'adopted'",
        "DELETE FROM decisions",
    ],
)
def test_the_database_decides_locks_and_rewords_nothing_without_a_record(board, statement):
    board.decide(board.open())
    board.open()
    with board.sessions() as session, pytest.raises(DBAPIError), transaction(session):
        session.execute(text(statement))


def test_the_text_of_a_record_never_takes_another_form():
    """What the log holds rests on this, to the byte."""
    decision = Decision(
        reason="Why.", weighed="This.", until_on=date(2026, 12, 24), review_on=date(2027, 1, 2)
    )

    assert record_text(decision) == (
        "Why.\n\n## What was weighed\n\nThis.\n\nDeferred until 2026-12-24.\n\n"
        "To be looked at again on 2027-01-02.\n"
    )
    assert record_text(Decision(reason="Why.", weighed="")) == "Why.\n"
