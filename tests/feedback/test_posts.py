"""Replies, permalinks, edits with their history."""

import re

import pytest

from portal.feedback import moderation
from portal.feedback.models import Post, PostEdit, Visibility
from portal.feedback.queries import POSTS_A_PAGE

pytestmark = pytest.mark.usefixtures("cast", "clock")
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class AtPost:
    """The address of a thread, open at a post whose id nobody can know before."""

    def __init__(self, number):
        self.pattern = rf"/feedback/{number}\?post=pst_\w{{26}}"

    def __eq__(self, other):
        return re.fullmatch(self.pattern, other) is not None

    __hash__ = None


@pytest.fixture
def number(board):
    """A public thread of Ada."""
    return board.open(title="More requests", text="We need more.")


def hide(board, number, position):
    with board.changing(number) as (session, thread):
        post = session.get_one(Post, board.posts(number)[position].id)
        actor = board.cast.root.actor
        moderation.hide_post(session, actor=actor, thread=thread, post=post, reason="An insult.")


def test_a_reply_is_posted(sign, both_ways, board, number, clock, journal):
    clock.advance(hours=1)
    form = sign("dan").get(f"/feedback/{number}").form("reply-form")
    form.fill(text="Read [this](https://example.com).")

    page = form.submit(htmx=both_ways.is_htmx, redirect=AtPost(number))

    thread, post = board.thread(number), board.posts(number)[1]
    assert page.flash == "Your reply is posted."
    assert (post.position, post.org_id, post.is_staff) == (1, board.cast.delta.id, False)
    assert (thread.replies, thread.active_at, thread.first_answer_at) == (1, clock.at, None)
    assert 'rel="nofollow noopener"' in page.html
    assert journal()[-1].tag == "feedback:post:written"


def test_staff_answer_with_a_badge_and_stop_the_first_clock(sign, board, number, clock):
    clock.advance(hours=1)
    form = sign("root").get(f"/feedback/{number}").form("reply-form").fill(text="We look at it.")

    form.submit(redirect=AtPost(number))

    page = sign("dan").get(f"/feedback/{number}")
    assert board.thread(number).first_answer_at == clock.at
    assert "Our staff Staff" in page.text
    assert "root@example.com" not in page.html


def test_addresses_are_read_by_colleagues_and_staff_alone(sign, visit, client, board, number):
    board.reply(number, board.cast.ben)

    for name, reads in (("cleo", True), ("root", True), ("dan", False)):
        assert ("ben@example.com" in sign(name).get(f"/feedback/{number}").text) is reads
    client.delete_cookie("plimsoll")
    page = visit.get(f"/feedback/{number}")
    assert "ben@example.com" not in page.html
    assert "Sign in to reply or vote" in page.text


def test_a_permalink_leads_to_the_page_of_its_post(sign, board, number):
    with board.changing(number) as (session, thread):
        for _ in range(2 * POSTS_A_PAGE + 1):
            board_reply(session, board, thread)
    first, last = board.posts(number)[1], board.posts(number)[-1]

    visit = sign("dan")
    page = visit.get(
        f"/feedback/{number}/posts/{last.id}", redirect=f"/feedback/{number}?post={last.id}"
    )

    assert [tag["id"] for tag in page.soup.select("#replies .post")] == [last.id]
    earlier = visit.get(page.soup.select_one("a[rel=prev]")["href"])
    assert len(earlier.soup.select("#replies .post")) == POSTS_A_PAGE
    earliest = visit.get(earlier.soup.select_one("a[rel=prev]")["href"])
    assert earliest.soup.select_one("#replies .post")["id"] == first.id
    assert earliest.soup.select_one("a[rel=prev]") is None
    visit.get(f"/feedback/{number}", page="nonsense", status=422)
    visit.get(f"/feedback/{number}/posts/pst_nothing", status=404)


def board_reply(session, board, thread):
    from portal.feedback.commands import reply

    reply(session, actor=board.cast.dan.actor, thread=thread, text="More.")


@SQLITE
def test_a_reply_without_shape_is_not_posted(sign, both_ways, board, number):
    for text in ("", "\u200b", "x" * 10_001, "- " * 40 + "deep"):
        form = sign("ada").get(f"/feedback/{number}").form("reply-form").fill(text=text)

        page = form.submit(htmx=both_ways.is_htmx, status=422)

        assert list(page.errors) == ["text"]
    form = sign("ada").get(f"/feedback/{number}").form("reply-form")
    form.fill(text="Buy!", website="https://spam.example").submit(status=422)
    assert len(board.posts(number)) == 1
    assert board.thread(number).replies == 0


@SQLITE
def test_a_hidden_post_is_not_answered(sign, both_ways, board, number):
    board.reply(number, board.cast.ben)
    post = board.posts(number)[1]
    form = sign("ada").get(f"/feedback/{number}", answers=post.id).form("reply-form")
    hide(board, number, 1)

    page = form.fill(text="You too.").submit(htmx=both_ways.is_htmx, status=422)

    assert "This post was hidden by our staff" in page.text
    assert page.form("reply-form").values["text"][0].strip() == "You too."
    assert len(board.posts(number)) == 2
    assert "So do we." not in sign("ada").get(f"/feedback/{number}").text
    assert "An insult." in sign("ben").get(f"/feedback/{number}").text


@SQLITE
def test_nothing_is_added_after_a_lock(sign, both_ways, token, board, number):
    board.vote(number, board.cast.dan)
    board.reply(number, board.cast.dan)
    visit, post = sign("dan"), board.posts(number)[1]
    data = {"csrf_token": token(), "text": "Late.", "seen": ""}
    with board.changing(number) as (session, thread):
        moderation.lock_spam(session, actor=board.cast.root.actor, thread=thread, reason="Spam.")

    acts = ("posts", "vote", "withdraw-vote", f"posts/{post.id}/edit")
    for act in acts:
        visit.post(f"/feedback/{number}/{act}", data=data, htmx=both_ways.is_htmx, status=410)
    own = sign("ada")
    data["csrf_token"] = token()
    first = board.posts(number)[0]
    for act in ("posts", "vote", "close", f"posts/{first.id}/edit"):
        page = own.post(f"/feedback/{number}/{act}", data=data, htmx=both_ways.is_htmx, status=410)
        assert "hidden by our staff" in page.text

    assert [row.text for row in board.posts(number)] == ["We need more.", "So do we."]
    assert board.thread(number).votes == 1


def test_a_post_is_edited_and_its_earlier_text_stays_readable(
    sign, both_ways, board, number, clock, journal
):
    clock.advance(minutes=5)
    post = board.posts(number)[0]
    form = sign("ada").get(f"/feedback/{number}/posts/{post.id}/edit").form("edit-form")

    form.fill(text="We need *twice* as many.").submit(
        htmx=both_ways.is_htmx, redirect=AtPost(number)
    )

    assert board.posts(number)[0].edited_at == clock.at
    assert journal()[-1].tag == "feedback:post:edited"
    page = sign("dan").get(f"/feedback/{number}/posts/{post.id}/history")
    assert "We need more." in page.text
    assert "We need twice as many." in page.text
    assert "More requests" in sign("dan").get("/feedback", q="twice").text


def test_two_who_edit_an_official_answer_at_once_lose_nothing(sign, board, number):
    board.reply(number, board.cast.root, "First.")
    post = board.posts(number)[1]
    with board.changing(number) as (session, _):
        session.get_one(Post, post.id).is_official = True
    at = f"/feedback/{number}/posts/{post.id}/edit"
    mine, theirs = (sign("root").get(at).form("edit-form") for _ in range(2))
    theirs.fill(text="Second.").submit(redirect=AtPost(number))

    page = mine.fill(text="Third.").submit(status=422)

    assert "edited while you wrote" in page.text
    page.form("edit-form").submit(redirect=AtPost(number))
    assert [row.old_text for row in board.rows(PostEdit)] == ["First.", "Second."]
    assert "Official answer" in sign("dan").get(f"/feedback/{number}").text


@SQLITE
def test_nobody_edits_anothers_post(sign, token, both_ways, board, number):
    post = board.posts(number)[0]

    for name, status in (("dan", 403), ("ben", 403), ("root", 403)):
        visit = sign(name)
        data = {"csrf_token": token(), "text": "Mine now.", "seen": ""}
        at = f"/feedback/{number}/posts/{post.id}/edit"
        visit.get(at, status=status)
        visit.post(at, data=data, htmx=both_ways.is_htmx, status=status)

    assert board.posts(number)[0].text == "We need more."


@SQLITE
def test_outsiders_find_no_private_thread(sign, token, both_ways, board):
    number = board.open(title="Ours", text="Secret.", visibility=Visibility.PRIVATE)
    post = board.posts(number)[0]
    visit = sign("dan")
    data = {"csrf_token": token(), "text": "x", "reason": "x"}

    for path in ("", ".atom", f"/posts/{post.id}", f"/posts/{post.id}/history"):
        assert visit.client.get(f"/feedback/{number}{path}").status_code == 404
    acts = ("posts", "vote", "withdraw-vote", "follow", "unfollow", "close")
    for act in (*acts, f"posts/{post.id}/edit", f"posts/{post.id}/report"):
        visit.post(f"/feedback/{number}/{act}", data=data, htmx=both_ways.is_htmx, status=404)

    visit = sign("cleo")
    data["csrf_token"] = token()
    assert "Secret." in visit.get(f"/feedback/{number}").text
    visit.post(f"/feedback/{number}/posts", data=data, htmx=both_ways.is_htmx, status=403)
    visit.post(f"/feedback/{number}/vote", data=data, htmx=both_ways.is_htmx, status=403)
