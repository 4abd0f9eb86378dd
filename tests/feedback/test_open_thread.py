"""Opening a thread: the title first, with what is similar, then the rest."""

import pytest

from portal.feedback.models import Post, Thread, Visibility
from portal.web import throttle

pytestmark = pytest.mark.usefixtures("cast", "clock")
FORM = "/feedback/new?title=Build+needs+more+requests"


def test_a_thread_is_opened(sign, both_ways, board, journal):
    form = sign("ben").get(FORM).form("thread-form")
    form.fill(kind="request", text="We **need** more.\n\n- soon", category="limits", tier="build")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/feedback/1")

    thread = board.thread(1)
    assert page.flash == "Your thread is open."
    assert page.h1 == "Build needs more requests"
    assert "<strong>need</strong>" in page.html
    assert (thread.kind, thread.state, thread.tier) == ("request", "open", "build")
    assert (thread.org_id, thread.visibility) == (board.cast.acme.id, "public")
    assert journal()[-1].tag == "feedback:thread:opened"


def test_similar_threads_are_shown_while_the_title_is_typed(sign, both_ways, board):
    board.open(title="More requests for Build", text="Please.")
    board.open(title="Secret plans for Build", visibility=Visibility.PRIVATE)
    board.open(title="Colours of the docs", text="Too grey.")

    page = sign("dan").get(FORM, htmx=both_ways.is_htmx)

    assert "1 similar thread." in page.text
    assert "More requests for Build" in page.text
    assert "Secret plans" not in page.text
    assert "Colours" not in page.text
    assert page.is_fragment is both_ways.is_htmx


def test_the_first_page_asks_for_the_title_alone(sign):
    page = sign("ada").get("/feedback/new")

    form = page.form("title-form").fill(title="Where are my headers?")
    assert form.names == ["title"]
    assert form.tag["hx-get"] == form.action
    after = form.submit()
    assert after.form("thread-form").values["title"] == ["Where are my headers?"]


def test_a_private_thread_is_there_for_members_and_staff_alone(sign, board):
    form = sign("ada").get(FORM).form("thread-form").fill(text="Ours.", visibility="private")
    form.submit(redirect="/feedback/1")

    for name, status in (("cleo", 200), ("root", 200), ("dan", 404)):
        page = sign(name).get("/feedback/1", status=status)
        assert ("Private to Acme and our staff" in page.text) is (status == 200)
        assert ("Build needs" in sign(name).get("/feedback").text) is (status == 200)


BAD = (
    ({"title": "\u200b\u2060\u3164"}, "title"),
    ({"title": "x" * 121}, "title"),
    ({"text": ""}, "text"),
    ({"text": "\u200b"}, "text"),
    ({"text": "x" * 10_001}, "text"),
    ({"text": "> " * 30 + "deep"}, "text"),
    ({"text": "a\u202eb"}, "text"),
    ({"change": "99"}, "change"),
    ({"change": "1.5"}, "change"),
    ({"kind": "reply"}, "change"),
    ({"category": "nothing"}, "category"),
    ({"website": "https://spam.example"}, "website"),
)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_has_no_shape_opens_nothing(sign, both_ways, board):
    visit = sign("ada")
    for fields, wrong in BAD:
        form = visit.get(FORM).form("thread-form").fill({"text": "We need more.", **fields})

        page = form.submit(htmx=both_ways.is_htmx, status=422)

        assert list(page.errors) == [wrong], fields
    assert board.rows(Thread) == []
    assert board.rows(Post) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_megabyte_of_markdown_is_refused_whole(sign, both_ways, board):
    form = sign("ada").get(FORM).form("thread-form").fill(text="[" * 1_048_576)

    page = form.submit(htmx=both_ways.is_htmx, status=413)

    assert "larger than this page takes" in page.text
    assert board.rows(Thread) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_may_not_write_for_an_organisation_opens_nothing(sign, token, both_ways, board):
    visit = sign("cleo")
    visit.get("/feedback/new", status=403)
    data = {"csrf_token": token(), "title": "Mine", "text": "Mine."}

    page = visit.post("/feedback", data=data, htmx=both_ways.is_htmx, status=403)

    assert "your role does not allow it" in page.text
    assert board.rows(Thread) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nobody_opens_threads_without_end(sign, both_ways, board, monkeypatch):
    monkeypatch.setitem(throttle.RATES, "feedback_thread", throttle.Rate(1, 3600))
    visit = sign("ada")
    visit.get(FORM).form("thread-form").fill(text="Once.").submit(redirect="/feedback/1")
    form = visit.get(FORM).form("thread-form").fill(text="Again.")

    page = form.submit(htmx=both_ways.is_htmx, status=429)

    assert "Wait a while" in page.text
    assert len(board.rows(Thread)) == 1
