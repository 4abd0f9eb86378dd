"""A thread opens by itself with each announced tightening, and a change that names threads says so there."""

import threading

import pytest

from portal.core.db import transaction
from portal.feedback.models import FeedbackProgress, Thread, ThreadChange
from portal.feedback.moderation import lock_spam
from portal.feedback.of_changes import named_in, read_log
from tests.support.change_files import CELL, change_file, in_days, unix

URL = "https://portal.example"


def read_again(board):
    """As after a kill before the job noted how far it came."""
    with board.sessions() as session, transaction(session):
        session.get_one(FeedbackProgress, 1).size = 0
    board.work()


def test_an_announced_tightening_opens_one_thread_however_often_one_looks(board, publish, clock):
    publish(change_file(effective_at=in_days(40)))

    board.work()
    board.work()
    read_again(board)

    (thread,) = board.rows(Thread)
    assert (thread.change, thread.author_id, thread.title) == (2, None, "Change 2: Fewer requests")
    (post,) = board.posts(thread.number)
    assert "[Change 2: Fewer requests](/changelog/2)" in post.text
    assert (thread.decision_due_at - clock.at).days == 14
    assert thread.answer_due_at is None, "nobody has asked anything yet"


def test_two_processes_at_once_open_one_thread(board, publish):
    publish(change_file(effective_at=in_days(40)))
    barrier, made = threading.Barrier(2), []

    def look():
        barrier.wait()
        made.append(read_log(board.sessions, URL))

    workers = [threading.Thread(target=look) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(made) == [0, 1]
    assert len(board.rows(Thread)) == 1


def test_a_raise_opens_none_and_a_cut_of_two_tiers_one(board, publish):
    publish(change_file(6000, effective_at=in_days(40)))
    board.work()
    assert board.rows(Thread) == []

    rows = [{**CELL, "quota": 4000}, {**CELL, "tier": "start", "quota": 900}]
    publish(change_file(rows=rows, effective_at=in_days(41)))
    board.work()

    assert [thread.change for thread in board.rows(Thread)] == [3]


def test_an_emergency_cut_opens_one_too(board, publish, clock):
    publish(change_file(4000, expires_at=in_days(2), **{"class": "emergency_cut"}))

    board.work()

    (thread,) = board.rows(Thread)
    assert (thread.decision_due_at - clock.at).days == 14


def test_a_change_that_comes_sooner_is_to_be_decided_sooner(board, publish, run, clock):
    publish(change_file(effective_at=in_days(60)))
    board.work()
    with board.changing(1) as (_, thread):
        thread.decision_due_at = clock.at.replace(year=2030)

    assert run("changes", "reschedule", "2", "--effective-at", in_days(40)).exit_code == 0
    board.work()

    assert int(board.thread(1).decision_due_at.timestamp()) == unix(40)


def test_a_change_that_names_a_thread_posts_itself_there_once(board, publish):
    number = board.open()
    reason = f"You asked in [thread](/feedback/{number}) and {URL}/feedback/9."
    publish(change_file(6000, title="More [room]", reason=reason))

    board.work()
    read_again(board)

    (link,) = board.rows(ThreadChange)
    said = board.posts(number)
    assert (link.change, link.post_id) == (2, said[-1].id)
    assert "[Change 2: More \\[room\\]](/changelog/2)" in said[-1].text
    assert (said[-1].author_id, said[-1].is_official) == (None, True)
    assert board.thread(number).replies == 1
    assert board.thread(number).first_answer_at is None, "no human has answered"


def test_an_amendment_that_names_a_thread_links_it_too(board, publish, run, clock):
    number = board.open()
    clock.advance(minutes=1)
    publish(change_file(6000))
    board.work()
    words = ["--title", "More requests", "--reason", f"As asked in /feedback/{number}."]

    assert run("changes", "amend", "2", *words).exit_code == 0
    board.work()

    assert [link.change for link in board.rows(ThreadChange)] == [2]


def test_a_number_to_come_is_no_thread(board, publish, clock):
    publish(change_file(6000, reason="As asked in /feedback/1."))
    clock.advance(minutes=5)
    assert board.open() == 1

    board.work()

    assert board.rows(ThreadChange) == []


def test_nothing_is_added_to_what_is_locked_as_spam(board, publish):
    number = board.open()
    with board.changing(number) as (session, thread):
        lock_spam(session, actor=board.cast.root.actor, thread=thread, reason="Spam.")
    publish(change_file(6000, reason=f"As asked in /feedback/{number}."))

    board.work()

    assert (board.rows(ThreadChange), board.thread(number).replies) == ([], 0)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("/feedback/12", [12]),
        ("See [this](/feedback/12), (/feedback/3) and /feedback/12.", [12, 3]),
        (f"{URL}/feedback/7", [7]),
        ("https://elsewhere.example/feedback/7", []),
        ("/feedback/012 /feedback/0 /feedback/12a /feedback/new /x/feedback/4", []),
        ("/feedback/5/decisions/dec_1", []),
    ],
)
def test_only_our_own_links_name_threads(text, numbers):
    assert named_in(text, URL) == numbers
