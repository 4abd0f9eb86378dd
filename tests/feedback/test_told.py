"""At a decision everyone who voted, wrote or follows gets exactly one message, whatever happens to the job."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from portal.core.db import transaction
from portal.core.jobs import run_all
from portal.core.outbox import Mail
from portal.feedback import commands, told
from portal.feedback.models import Decision, Post, PostEdit
from portal.feedback.moderation import hide_post
from portal.feedback.official import answer_officially
from portal.orgs.models import Membership
from tests.support.factories import actor_of, make_org, make_user
from tests.support.worlds import TOP

URL = "https://portal.example"


@pytest.fixture
def number(board):
    """Ada's thread: Ben votes and writes, Dan follows, and somebody took their vote back."""
    number = board.open(title="More requests")
    board.vote(number, board.cast.ben)
    board.reply(number, board.cast.ben)
    board.follow(number, board.cast.dan)
    with board.changing(number) as (session, thread):
        fickle = make_user(session, email="fickle@example.com")
        make_org(session, owner=fickle)
        commands.vote(session, actor=actor_of(fickle), thread=thread)
        commands.withdraw_vote(session, actor=actor_of(fickle), thread=thread)
    return number


def test_everyone_concerned_gets_one_message_with_decision_and_reason(board, number):
    decision = board.decide(number, reason="Half of it is possible.", weighed="What it costs.")

    board.work()
    board.work()

    mails = board.mails(f"decision:{decision}")
    assert [mail.to for mail in mails] == ["ada@example.com", "ben@example.com", "dan@example.com"]
    assert {mail.subject for mail in mails} == {"Decided: More requests"}
    for said in (
        "adopted, partly",
        "Half of it is possible.",
        "What it costs.",
        f"/feedback/{number}",
    ):
        assert said in mails[0].text
    assert board.decision(decision).told_at is not None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_second_decision_is_a_second_message(board, number):
    first, second = board.decide(number), board.decide(number)

    board.work()

    assert [len(board.mails(f"decision:{each}")) for each in (first, second)] == [3, 3]


def test_stopped_before_it_noted_so_it_tells_nobody_twice(board, number, monkeypatch):
    decision = board.decide(number)
    monkeypatch.setattr(told, "PEOPLE_AT_ONCE", 2)
    queue, calls = told.queue_mails, []

    def stopping(session, letters, *, event):
        calls.append(event)
        if len(calls) == 2:
            raise KeyboardInterrupt
        queue(session, letters, event=event)

    monkeypatch.setattr(told, "queue_mails", stopping)
    with pytest.raises(KeyboardInterrupt):
        told.tell(board.sessions, URL)
    between = len(board.mails("decision:"))
    told.tell(board.sessions, URL)

    assert between == 2
    assert [mail.person for mail in board.mails(f"decision:{decision}")] == sorted(
        person.user_id for person in (board.cast.ada, board.cast.ben, board.cast.dan)
    )


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_private_decision_is_told_to_those_who_are_still_inside(board):
    number = board.open(visibility="private")
    board.vote(number, board.cast.ben)
    with board.sessions() as session, transaction(session):
        session.delete(session.get_one(Membership, (board.cast.acme.id, board.cast.ben.user_id)))
    decision = board.decide(number)

    board.work()

    assert [mail.to for mail in board.mails(f"decision:{decision}")] == ["ada@example.com"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_title_of_a_hidden_thread_reaches_nobody_who_may_not_read_it(board, number):
    root = board.cast.root.actor
    first = board.posts(number)[0].id
    with board.changing(number) as (session, thread):
        answer_officially(session, actor=root, thread=thread, text="We take this away.")
        post = session.get_one(Post, first)
        hide_post(session, actor=root, thread=thread, post=post, reason="A key stands in it.")

    board.work()

    assert [mail.to for mail in board.mails("answer:")] == ["ada@example.com"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_official_answer_and_its_edit_are_told_once_each_and_keep_the_earlier_text(
    board, number
):
    root = board.cast.root.actor
    with board.changing(number) as (session, thread):
        post = answer_officially(session, actor=root, thread=thread, text="In May.")
        post_id = post.id
    board.work()
    with board.changing(number) as (session, thread):
        found = session.get_one(type(post), post_id)
        commands.edit_post(session, actor=root, thread=thread, post=found, text="In June.", seen="")
    board.work()
    board.work()

    assert [len(board.mails(f"{what}:")) for what in ("answer", "edit")] == [3, 3]
    assert "In June." in board.mails("edit:")[0].text
    assert [edit.old_text for edit in board.rows(PostEdit)] == ["In May."]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_staff_are_reminded_of_each_clock_once(board, clock):
    number = board.open()
    thread_id = board.thread(number).id

    clock.advance(days=4)
    passes = [board.work()["feedback clocks"] for _ in range(2)]
    clock.advance(hours=1)
    passes.append(board.work()["feedback clocks"])

    assert passes == [1, 0, 0]
    (mail,) = board.mails(thread_id)
    assert (mail.to, mail.subject) == ("root@example.com", "Missed: More requests")


KILLED = """
import sys
from portal.core.db import make_engine, make_sessions
from portal.feedback import told
told.PEOPLE_AT_ONCE = 20
told.tell(make_sessions(make_engine(sys.argv[1]), strict=True), "https://portal.example")
"""


@pytest.mark.long
def test_killed_at_any_moment_and_run_again_in_two_processes_each_is_told_once(board, number):
    """kill -9 some five times on the way through four hundred people, then two at once to the end."""
    board.crowd(number, 400)
    decision = board.decide(number)
    command = [sys.executable, "-c", KILLED, board.settings.database_url]

    def start():
        return subprocess.Popen(command, cwd=TOP, env={**os.environ, "PYTHONPATH": str(TOP)})

    def count():
        with board.sessions() as session:
            return session.scalar(select(func.count()).where(Mail.event == f"decision:{decision}"))

    for wanted in (20, 80, 140, 220, 300):
        worker = start()
        gives_up_at = time.monotonic() + 30
        while count() < wanted and worker.poll() is None and time.monotonic() < gives_up_at:
            time.sleep(0.002)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    for worker in [start(), start()]:
        assert worker.wait(timeout=60) == 0

    mails = board.mails(f"decision:{decision}")
    assert len(mails) == len({mail.person for mail in mails}) == 403
    assert board.decision(decision).told_at is not None


def test_four_hundred_days_of_silence_leave_a_thread_open(board, clock, app, settings, sessions):
    """Nothing closes by inactivity: not in any job of the whole product, day after day."""
    from portal.housekeeping import all_jobs

    number, quiet = board.open(), board.open()
    decided = board.open()
    board.decide(decided)
    jobs = [job for job in all_jobs(sessions, settings) if job.name != "mail"]
    before = [board.thread(each).state for each in (number, quiet, decided)]

    for days in (1, 3, 10, 16, 70, 300):
        clock.advance(days=days)
        assert min(run_all(jobs).values()) >= 0

    after = [board.thread(each) for each in (number, quiet, decided)]
    assert [thread.state for thread in after] == before
    assert [thread.locked_at for thread in after] == [None] * 3
    assert len(board.rows(Decision)) == 1
    board.reply(quiet, board.cast.ben, "Is anybody there?")
    assert clock.at - board.thread(quiet).created_at == timedelta(days=400)
