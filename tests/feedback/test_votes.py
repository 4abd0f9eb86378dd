"""Votes, follows, and closing one's own thread."""

import threading

import pytest

from portal.feedback.errors import AlreadyVoted, ThreadClosed
from portal.feedback.models import Follow, State, Vote

pytestmark = pytest.mark.usefixtures("cast", "clock")
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def number(board):
    """A public thread of Ada."""
    return board.open(title="More requests", text="We need more.")


@pytest.fixture
def act(both_ways):
    """Send one of the forms beside a thread's votes; the page, or with htmx the part, that follows."""

    def send(visit, number, label):
        form = visit.get(f"/feedback/{number}").form(label)
        redirect = None if both_ways.is_htmx else f"/feedback/{number}"
        return form.submit(htmx=both_ways.is_htmx, redirect=redirect)

    return send


def test_a_vote_counts_once_and_can_be_withdrawn(sign, act, board, number, journal):
    visit = sign("dan")

    assert "1 vote, yours among them" in act(visit, number, "Vote for it").text
    assert (board.thread(number).votes, board.rows(Vote)[0].org_id) == (1, board.cast.delta.id)
    assert "You vote for it" in visit.get("/feedback").text
    assert "More requests" in visit.get("/feedback/mine", show="votes").text

    assert "0 votes" in act(visit, number, "Withdraw your vote").text
    assert board.thread(number).votes == 0
    assert "You vote for it" not in visit.get("/feedback").text

    assert "1 vote, yours among them" in act(visit, number, "Vote for it").text
    assert len(board.rows(Vote)) == 1
    assert journal()[-1].tag == "feedback:thread:voted"


def test_a_vote_given_twice_at_once_counts_once(board, number):
    """Two windows of one person: the database decides, whichever comes first."""
    outcomes, start = [], threading.Barrier(2)

    def give():
        start.wait()
        try:
            board.vote(number, board.cast.dan)
        except AlreadyVoted as error:
            outcomes.append(error.status)
        else:
            outcomes.append(200)

    threads = [threading.Thread(target=give) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(outcomes) == [200, 409]
    assert (board.thread(number).votes, len(board.rows(Vote))) == (1, 1)


@SQLITE
def test_a_second_vote_is_refused_in_words(sign, both_ways, board, number):
    form = sign("dan").get(f"/feedback/{number}").form("Vote for it")
    board.vote(number, board.cast.dan)

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert "Your vote counts already." in page.text
    assert board.thread(number).votes == 1


@SQLITE
def test_readers_and_staff_do_not_vote(sign, token, both_ways, board, number):
    for name in ("cleo", "root"):
        visit = sign(name)
        data = {"csrf_token": token()}
        visit.post(f"/feedback/{number}/vote", data=data, htmx=both_ways.is_htmx, status=403)

    assert board.rows(Vote) == []


def test_a_thread_is_followed_and_let_go(sign, act, board, number):
    visit = sign("cleo")

    act(visit, number, "Follow")
    assert "More requests" in visit.get("/feedback/mine", show="follows").text

    act(visit, number, "Stop following")
    assert "More requests" not in visit.get("/feedback/mine", show="follows").text
    assert board.rows(Follow)[0].ended_at is not None


def test_a_thread_is_closed_by_whoever_opened_it(sign, both_ways, board, number, journal):
    form = sign("ada").get(f"/feedback/{number}/close").form("close-form")

    page = form.submit(htmx=both_ways.is_htmx, redirect=f"/feedback/{number}")

    assert "Its author closed this thread." in page.text
    assert board.thread(number).state is State.CLOSED
    assert journal()[-1].tag == "feedback:thread:closed"
    with pytest.raises(ThreadClosed):
        board.reply(number, board.cast.dan)


@SQLITE
def test_nobody_closes_anothers_thread(sign, token, both_ways, board, number):
    for name in ("ben", "dan", "root"):
        visit = sign(name)
        data = {"csrf_token": token()}
        visit.get(f"/feedback/{number}/close", status=403)
        visit.post(f"/feedback/{number}/close", data=data, htmx=both_ways.is_htmx, status=403)

    assert board.thread(number).state is State.OPEN


@SQLITE
def test_what_is_decided_is_not_closed(sign, token, both_ways, board, number):
    visit = sign("ada")
    data = {"csrf_token": token()}
    board.decide(number)

    page = visit.post(f"/feedback/{number}/close", data=data, htmx=both_ways.is_htmx, status=409)

    assert "This thread is decided" in page.text
    assert board.thread(number).state is State.DECIDED
