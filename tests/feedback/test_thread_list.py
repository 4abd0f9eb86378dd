"""The list: filtered, searched, sorted, by cursor; what is one's own; the feeds."""

import feedparser
import pytest

from portal.feedback.listing import THREADS_A_PAGE
from portal.feedback.models import Category, Kind, Visibility

pytestmark = pytest.mark.usefixtures("cast", "clock")
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def titles(page):
    return [tag.get_text(strip=True) for tag in page.soup.select(".news-title a")]


@pytest.fixture
def filled(board, clock):
    """Three public threads and a private one of Acme, a minute apart."""
    board.open(title="Limits of Build", text="Too low.", kind=Kind.PROBLEM)
    clock.advance(minutes=1)
    board.open(board.cast.dan, title="Keys for Žofie", text="How?", category=Category.KEYS)
    clock.advance(minutes=1)
    board.open(title="Hidden depths", text="Ours.", visibility=Visibility.PRIVATE)
    clock.advance(minutes=1)
    board.open(title="A limit for keys", text="Why?", kind=Kind.QUESTION, change=1)
    return board


def test_the_list_is_filtered_searched_and_sorted(sign, both_ways, filled, clock):
    clock.advance(minutes=1)
    filled.reply(2, filled.cast.ben, "Under API keys, I think.")
    filled.vote(1, filled.cast.dan)
    visit = sign("dan")

    def found(**asked):
        form = visit.get("/feedback").form("Search and filter").fill(asked)
        return titles(form.submit(htmx=both_ways.is_htmx))

    assert found() == ["Keys for Žofie", "A limit for keys", "Limits of Build"]
    assert found(sort="newest") == ["A limit for keys", "Keys for Žofie", "Limits of Build"]
    assert found(sort="votes")[0] == "Limits of Build"
    assert found(q="LIMIT") == ["A limit for keys", "Limits of Build"]
    assert found(q="limits keys") == ["A limit for keys"]
    assert found(q="zofie") == found(q="think") == ["Keys for Žofie"]
    assert found(q="depths") == []
    assert found(kind="problem") == ["Limits of Build"]
    assert found(category="keys") == ["Keys for Žofie"]
    assert found(change="1", state="open") == ["A limit for keys"]


@SQLITE
def test_what_cannot_be_asked_for_is_said_beside_the_field(sign, both_ways, filled):
    visit = sign("dan")

    for asked in ({"q": "the"}, {"q": "x" * 101}, {"state": "x"}, {"change": "one"}, {"page": "x"}):
        page = visit.get("/feedback", htmx=both_ways.is_htmx, status=422, **asked)

        assert len(titles(page)) == 3, asked


def test_pages_by_cursor_show_each_thread_once_while_others_come(sign, board, clock, count_queries):
    for number in range(2 * THREADS_A_PAGE + 5):
        board.open(title=f"Thread {number}", text="One.")
    visit = sign("dan")
    first = visit.get("/feedback", sort="newest")
    board.open(title="Newer than all", text="One.")

    with count_queries() as queries:
        second = visit.get(first.soup.select_one("a[rel=next]")["href"])
    third = visit.get(second.soup.select_one("a[rel=next]")["href"])

    expected = [f"Thread {number}" for number in reversed(range(2 * THREADS_A_PAGE + 5))]
    assert titles(first) + titles(second) + titles(third) == expected
    assert third.soup.select_one("a[rel=next]") is None
    back = visit.get(third.soup.select_one("a[rel=prev]")["href"])
    assert titles(back) == titles(second)
    newest = visit.get(
        visit.get(back.soup.select_one("a[rel=prev]")["href"]).soup.select_one("a[rel=prev]")[
            "href"
        ]
    )
    assert titles(newest) == ["Newer than all"]
    assert len(queries) <= 12


@pytest.mark.parametrize(("name", "offered"), [(None, True), ("ben", True), ("cleo", False)])
def test_a_thread_is_offered_to_whoever_may_open_one(visit, sign, filled, name, offered):
    visit = sign(name) if name else visit

    for path in ("/feedback", "/feedback/mine", "/changelog/1"):
        if name or path != "/feedback/mine":
            links = visit.get(path).soup.select("main a[href^='/feedback/new']")
            assert bool(links) is offered, path


def test_ones_own_threads_votes_and_follows(sign, filled):
    filled.vote(1, filled.cast.dan)
    filled.follow(4, filled.cast.dan)
    visit = sign("dan")

    shown = {
        name: titles(visit.get("/feedback/mine", show=name))
        for name in ("threads", "votes", "follows")
    }

    assert shown == {
        "threads": ["Keys for Žofie"],
        "votes": ["Limits of Build"],
        "follows": ["A limit for keys"],
    }


def test_the_feeds_tell_of_public_threads_and_their_posts(client, filled):
    filled.reply(1, filled.cast.dan, "So **do** we.")

    board = feedparser.parse(client.get("/feedback.atom").data)
    thread = feedparser.parse(client.get("/feedback/1.atom").data)

    assert {board.bozo, thread.bozo} == {False}
    assert [entry.title for entry in board.entries] == [
        "A limit for keys",
        "Keys for Žofie",
        "Limits of Build",
    ]
    assert [entry.title for entry in thread.entries] == ["#1 by Delta", "Limits of Build"]
    assert thread.entries[0].link.endswith(f"/feedback/1/posts/{filled.posts(1)[1].id}")
    assert "<strong>do</strong>" in thread.entries[0].content[0].value
    assert client.get("/feedback/3.atom").status_code == 404
    again = client.get(
        "/feedback.atom", headers={"If-None-Match": client.get("/feedback.atom").headers["ETag"]}
    )
    assert again.status_code == 304


def test_the_feed_of_the_board_asks_as_little_for_many_threads_as_for_one(
    client, board, count_queries
):
    needed = []
    for more in (1, 9):
        for _ in range(more):
            board.open()
        with count_queries() as queries:
            client.get("/feedback.atom")
        needed.append(len(queries))

    assert needed[0] == needed[1]
