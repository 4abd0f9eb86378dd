"""Reports, the queue, what is hidden or kept and why, spam that is locked, notes of the staff."""

import pytest

from portal.feedback import moderation
from portal.feedback.errors import NotSpam, OfficialPost
from portal.feedback.models import InternalNote, ModerationRecord, Post, Report

pytestmark = pytest.mark.usefixtures("cast", "clock")
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def number(board):
    """A public thread of Ada with a reply of Ben."""
    made = board.open(title="More requests", text="We need more.")
    board.reply(made, board.cast.ben, "Buy my boat!")
    return made


@pytest.fixture
def post(board, number):
    """Ben's reply."""
    return board.posts(number)[1]


def hide(board, number, post, act=moderation.hide_post):
    with board.changing(number) as (session, thread):
        row = session.get_one(Post, post.id)
        actor, reason = board.cast.root.actor, "No advertisements here."
        return act(session, actor=actor, thread=thread, post=row, reason=reason)


def test_a_report_waits_in_the_queue_until_the_post_is_hidden(
    sign, both_ways, board, number, post, journal
):
    to = f"/feedback/{number}?post={post.id}"
    form = sign("dan").get(f"/feedback/{number}/posts/{post.id}/report").form("report-form")
    page = form.fill(reason="An advert.").submit(htmx=both_ways.is_htmx, redirect=to)
    assert page.flash == "Reported. Our staff will look at it."

    visit = sign("root")
    row = visit.get("/admin/moderation").table("Reported posts").row("More requests, #1")
    assert (row["Text"], row["Reports"]) == ("Buy my boat!", "1")
    question = visit.get(f"/admin/moderation/posts/{post.id}/hide")
    assert "dan@example.com" in question.text
    form = question.form("moderation-form").fill(reason="No adverts here.")
    form.submit(htmx=both_ways.is_htmx, redirect=to)

    record, report = board.rows(ModerationRecord)[0], board.rows(Report)[0]
    assert (record.act, record.reason, record.post_id) == ("hide", "No adverts here.", post.id)
    assert report.settled_for == record.id
    assert journal()[-1].tag == "feedback:post:hidden"
    assert "No post is reported." in visit.get("/admin/moderation").text


def test_a_hidden_post_is_read_by_its_author_with_the_reason(sign, board, number, post):
    hide(board, number, post)

    author = sign("ben").get(f"/feedback/{number}")
    assert "No advertisements here." in author.text
    assert "Buy my boat!" in author.text
    visit = sign("dan")
    other = visit.get(f"/feedback/{number}")
    assert "This post was hidden by our staff." in other.text
    assert "Buy my boat!" not in other.html
    assert "No advertisements" not in other.html
    assert "boat" not in visit.client.get(f"/feedback/{number}.atom").text
    assert "No thread fits" in visit.get("/feedback", q="boat").text
    visit.get(f"/feedback/{number}/posts/{post.id}/history", status=409)


def test_what_was_reported_can_stay_and_what_was_hidden_can_come_back(
    sign, both_ways, board, number, post
):
    form = sign("dan").get(f"/feedback/{number}/posts/{post.id}/report").form("report-form")
    to = f"/feedback/{number}?post={post.id}"
    form.fill(reason="I disagree.").submit(redirect=to)
    visit = sign("root")
    for act, shown in (("keep", True), ("hide", False), ("restore", True)):
        form = visit.get(f"/admin/moderation/posts/{post.id}/{act}").form("moderation-form")
        form.fill(reason="Our rules.").submit(htmx=both_ways.is_htmx, redirect=to)

        assert (board.posts(number)[1].hidden_at is None) is shown

    assert [row.act for row in board.rows(ModerationRecord)] == ["keep", "hide", "restore"]
    assert "More requests" in visit.get("/feedback", q="boat").text


def test_spam_is_locked_with_a_record_and_hidden(sign, both_ways, board, number):
    form = sign("root").get(f"/admin/moderation/threads/{number}/lock").form("moderation-form")

    form.fill(reason="Spam.").submit(htmx=both_ways.is_htmx, redirect=f"/feedback/{number}")

    thread, records = board.thread(number), board.rows(ModerationRecord)
    assert {row.act for row in records} == {"lock", "hide"}
    assert thread.locked_for in {row.id for row in records if row.act == "lock"}
    assert thread.state == "open"
    visit = sign("dan")
    assert "More requests" not in visit.get("/feedback").text
    visit.get(f"/feedback/{number}", status=410)
    page = sign("ada").get(f"/feedback/{number}")
    assert "Spam." in page.text
    assert "This thread is locked" in page.text


def test_a_lock_by_mistake_is_lifted_with_the_post(board, number):
    with board.changing(number) as (session, thread):
        moderation.lock_spam(session, actor=board.cast.root.actor, thread=thread, reason="Spam.")

    hide(board, number, board.posts(number)[0], act=moderation.restore_post)

    thread = board.thread(number)
    assert (thread.locked_at, thread.locked_for, thread.hidden_at) == (None, None, None)


@SQLITE
def test_the_record_is_not_moderated_away(board, number):
    """A decided thread is no spam, and an official answer is edited, not hidden."""
    board.reply(number, board.cast.root, "No.")
    answer = board.posts(number)[2]
    with board.changing(number) as (session, _):
        session.get_one(Post, answer.id).is_official = True
    board.decide(number)

    with pytest.raises(OfficialPost):
        hide(board, number, answer)
    with pytest.raises(NotSpam), board.changing(number) as (session, thread):
        moderation.lock_spam(session, actor=board.cast.root.actor, thread=thread, reason="Spam.")

    assert board.rows(ModerationRecord) == []


def test_with_its_opening_post_no_decision_is_hidden(sign, client, board, number):
    """The log holds the hash of its text for ever; else nobody could read what was hashed."""
    decision = board.decide(number, reason="Half of it is possible.")

    hide(board, number, board.posts(number)[0])

    page = sign("dan").get(f"/feedback/{number}")
    assert "Half of it is possible." in page.text
    assert "This post was hidden by our staff." in page.text
    assert "We need more." not in page.text
    assert client.get(f"/feedback/{number}/decisions/{decision}.md").status_code == 200
    for feed in ("/feedback.atom", f"/feedback/{number}.atom"):
        assert "We need more." not in client.get(feed).text
    assert "More requests" in sign("dan").get("/feedback?q=requests").text
    assert "More requests" not in sign("dan").get("/feedback?q=need").text


@SQLITE
def test_without_a_reason_nothing_is_reported_or_moderated(sign, both_ways, board, number, post):
    form = sign("dan").get(f"/feedback/{number}/posts/{post.id}/report").form("report-form")
    assert list(form.fill(reason=" ").submit(htmx=both_ways.is_htmx, status=422).errors) == [
        "reason"
    ]
    visit = sign("root")
    for path in (f"posts/{post.id}/hide", f"posts/{post.id}/keep", f"threads/{number}/lock"):
        form = visit.get(f"/admin/moderation/{path}").form("moderation-form").fill(reason="")

        assert list(form.submit(htmx=both_ways.is_htmx, status=422).errors) == ["reason"]

    assert board.rows(Report) == []
    assert board.rows(ModerationRecord) == []


@SQLITE
def test_a_post_is_reported_once_by_each_and_never_by_its_author(
    sign, token, both_ways, board, number, post
):
    at, to = f"/feedback/{number}/posts/{post.id}/report", f"/feedback/{number}?post={post.id}"
    visit = sign("dan")
    form = visit.get(at).form("report-form").fill(reason="An advert.")
    form.submit(redirect=to)

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert "You have reported this post" in page.text
    visit = sign("ben")
    data = {"csrf_token": token(), "reason": "Mine."}
    visit.post(at, data=data, htmx=both_ways.is_htmx, status=409)
    assert len(board.rows(Report)) == 1


def test_notes_are_read_by_staff_alone(sign, both_ways, board, number):
    visit = sign("root")
    form = visit.get(f"/admin/moderation/threads/{number}/notes/new").form("note-form")
    assert list(form.submit(htmx=both_ways.is_htmx, status=422).errors) == ["text"]

    form.fill(text="They *pay* well.").submit(
        htmx=both_ways.is_htmx, redirect=f"/feedback/{number}"
    )

    assert "They pay well." in visit.get(f"/feedback/{number}").text
    assert "They pay well." not in sign("ada").get(f"/feedback/{number}").text
    assert len(board.rows(InternalNote)) == 1
