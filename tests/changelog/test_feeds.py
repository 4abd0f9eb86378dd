"""Both feeds, read as strangers read them.

Atom is read by feedparser, and checked against what RFC 4287 asks, written down here from its text,
over a parser that is not the one that writes it (expat's DOM); JSON Feed against the text of
version 1.1.
"""

import json
import re
from datetime import datetime, timedelta
from xml.dom import minidom

import feedparser
import pytest

from portal.changelog.announcements import publish_announcement, withdraw_announcement
from portal.core.actor import CLI
from portal.core.db import transaction
from tests.support.change_files import change_file, in_days

ATOM = "http://www.w3.org/2005/Atom"
# RFC 3339, as section 3.3 of RFC 4287 asks: capital T and Z.
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
# RFC 4151: authority, the day on which it was held, and a name.
TAG = re.compile(r"tag:[a-z0-9.-]+,\d{4}-\d\d-\d\d:[a-z_0-9]+")
ONCE_IN_FEED = {"id", "title", "updated"}
ONCE_IN_ENTRY = {"id", "title", "updated", "published", "summary", "content"}
FEED_CHILDREN = ONCE_IN_FEED | {"author", "category", "link", "subtitle", "entry"}
ENTRY_CHILDREN = ONCE_IN_ENTRY | {"author", "category", "link"}

pytestmark = pytest.mark.usefixtures("catalog", "clock")


def children(node, name=None):
    found = [each for each in node.childNodes if each.nodeType == each.ELEMENT_NODE]
    assert all(each.namespaceURI == ATOM for each in found)
    return [each for each in found if name in {None, each.localName}]


def text(node, name):
    (found,) = children(node, name)
    return "".join(part.data for part in found.childNodes)


def faults(node, *, once, known):
    """What section 4.1.1 or 4.1.2 of RFC 4287 has against a feed or an entry."""
    names = [each.localName for each in children(node)]
    yield from (f"{name} must stand once" for name in once if names.count(name) != 1)
    yield from (f"{name} has no place here" for name in names if name not in known)
    yield from (
        f"{name} is no date" for name in ("updated",) if not DATE.fullmatch(text(node, name))
    )
    alternates = [
        (link.getAttribute("type"), link.getAttribute("hreflang"))
        for link in children(node, "link")
        if link.getAttribute("rel") in {"", "alternate"}
    ]
    if len(alternates) != len(set(alternates)):
        yield "two alternates of one type and language"
    if any(not link.getAttribute("href") for link in children(node, "link")):
        yield "a link without href"
    if any(not each.getAttribute("term") for each in children(node, "category")):
        yield "a category without a term"


@pytest.fixture
def atom(client):
    """The Atom feed, checked; its root."""

    def atom():
        answer = client.get("/changelog.atom")
        assert answer.content_type == "application/atom+xml; charset=utf-8"
        root = minidom.parseString(answer.data).documentElement  # noqa: S318 -- our own document
        assert (root.namespaceURI, root.localName) == (ATOM, "feed")
        entries = children(root, "entry")
        found = [*faults(root, once=ONCE_IN_FEED, known=FEED_CHILDREN)]
        for entry in entries:
            found += faults(entry, once=ONCE_IN_ENTRY, known=ENTRY_CHILDREN)
        ids = [text(entry, "id") for entry in entries]
        assert len(ids) == len(set(ids))
        assert all(TAG.fullmatch(each) for each in (*ids, text(root, "id")))
        # An author for each entry, its own or the feed's (section 4.1.1).
        assert text(children(root, "author")[0], "name")
        assert not found, found
        return root

    return atom


@pytest.fixture
def json_feed(client):
    """The JSON Feed, checked; its items."""

    def json_feed():
        answer = client.get("/changelog.json")
        assert answer.content_type == "application/feed+json"
        feed = json.loads(answer.data)
        assert feed["version"] == "https://jsonfeed.org/version/1.1"
        assert feed["title"]
        assert feed["feed_url"].endswith("/changelog.json")
        known = {"id", "url", "title", "summary", "content_html", "date_published"}
        for item in feed["items"]:
            # What is not of the standard begins with an underscore.
            assert {name for name in item if not name.startswith("_")} <= known | {
                "date_modified",
                "tags",
            }
            assert isinstance(item["id"], str)
            assert item["content_html"]
            assert DATE.fullmatch(item["date_published"])
        assert len({item["id"] for item in feed["items"]}) == len(feed["items"])
        return feed["items"]

    return json_feed


@pytest.fixture
def announced(publish):
    """Change 2 cuts Build on day 40."""
    return publish(change_file(effective_at=in_days(40), reason="We **need** <room> & air."))


@pytest.fixture
def news(sessions, clock):
    clock.advance(minutes=1)
    with sessions() as session, transaction(session):
        made = publish_announcement(
            session, actor=CLI, title="Sunday & <rest>", text="Sleep *well*.", tiers=["build"]
        )
        return made.id


def test_both_name_changes_and_news_newest_first(atom, json_feed, announced, news):
    titles = [text(entry, "title") for entry in children(atom(), "entry")]

    assert titles == ["Sunday & <rest>", "Change 2: Fewer requests", "Change 1: Our limits"]
    assert [item["title"] for item in json_feed()] == titles


def test_an_entry_says_what_happens_for_whom_and_when(atom, announced):
    entry = children(atom(), "entry")[0]

    assert text(entry, "summary") == "Tightens, for Build. In force from 2026-12-12 12:00 UTC."
    content = text(entry, "content")
    assert "<li>Build · Sonnet 5 · requests per minute: 5,000 → 4,000 (\u221220 %)</li>" in content
    assert "<p>We <strong>need</strong> &lt;room&gt; &amp; air.</p>" in content
    terms = {each.getAttribute("term") for each in children(entry, "category")}
    assert terms == {"tightening", "build"}


def test_a_feed_reader_reads_it(client, atom, announced, news):
    feed = feedparser.parse(client.get("/changelog.atom").data)

    assert (feed.bozo, feed.version) == (False, "atom10")
    assert feed.feed.updated_parsed[:5] == (2026, 11, 2, 12, 1)
    assert [entry.title for entry in feed.entries][1:] == [
        "Change 2: Fewer requests",
        "Change 1: Our limits",
    ]
    entry = feed.entries[1]
    assert entry.id == text(children(atom(), "entry")[1], "id")
    assert entry.link.endswith("/changelog/2")
    assert {tag.term for tag in entry.tags} == {"tightening", "build"}
    assert "<strong>need</strong>" in entry.content[0].value


def test_what_programs_want_stands_in_the_json(json_feed, announced):
    item = json_feed()[0]

    assert item["url"].endswith("/changelog/2")
    assert item["_plimsoll"] == {
        "change": 2,
        "status": "announced",
        "direction": "tightening",
        "effective_at": in_days(40),
        "expires_at": None,
    }


def test_ids_stay_and_dates_move_when_a_change_is_amended_held_or_withdrawn(
    atom, json_feed, announced, run, clock
):
    told = []
    for act in (
        (),
        ("amend", "2", "--title", "Fewer requests on Build", "--reason", "Better said."),
        ("hold", "2", "--reason", "Wait."),
        ("withdraw", "2", "--reason", "We found room."),
    ):
        clock.advance(hours=1)
        if act:
            done = run("changes", *act)
            assert done.exit_code == 0, done.output
        entry = children(atom(), "entry")[0]
        assert json_feed()[0]["id"] == text(entry, "id")
        told.append((text(entry, "id"), text(entry, "published"), text(entry, "updated")))

    ids, published, updated = (set(each) for each in zip(*told, strict=True))
    assert (len(ids), len(published), len(updated)) == (1, 1, 4)
    assert text(entry, "summary") == (
        "Tightens, for Build. Withdrawn at 2026-11-02 16:00 UTC: We found room."
    )
    assert text(entry, "title") == "Change 2: Fewer requests on Build"


def test_the_feed_is_as_new_as_its_newest_entry(atom, announced, run, clock):
    clock.advance(hours=5)
    run("changes", "hold", "2", "--reason", "Wait.")

    assert text(atom(), "updated") == "2026-11-02T17:00:00Z"


def test_an_old_change_that_moves_comes_first_again(json_feed, announced, news, run, clock):
    clock.advance(hours=1)
    run("changes", "withdraw", "2", "--reason", "No.")

    assert json_feed()[0]["title"] == "Change 2: Fewer requests"


def test_withdrawn_news_say_so(json_feed, news, sessions, clock):
    clock.advance(hours=1)
    with sessions() as session, transaction(session):
        withdraw_announcement(session, actor=CLI, announcement_id=news)

    item = json_feed()[0]

    assert item["summary"] == "An announcement for Build. Withdrawn at 2026-11-02 13:01 UTC."
    assert item["date_modified"] == "2026-11-02T13:01:00Z"


@pytest.mark.parametrize("path", ["/changelog.atom", "/changelog.json"])
def test_time_alone_changes_no_feed_and_who_has_it_gets_304(client, announced, clock, path):
    first = client.get(path)
    clock.advance(days=50)

    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert first.headers["Cache-Control"] == "public, max-age=60"
    assert "Set-Cookie" not in first.headers


def test_every_page_may_read_the_json(client):
    assert client.get("/changelog.json").headers["Access-Control-Allow-Origin"] == "*"


def test_signed_in_the_feeds_are_the_same(client, cast):
    out = client.get("/changelog.json")
    cast.sign_in(client, cast.ada)

    assert client.get("/changelog.json").data == out.data


@pytest.mark.parametrize("path", ["/changelog", "/changelog/1", "/limits"])
def test_pages_lead_to_both_feeds(visit, path):
    links = visit.get(path).soup.select('link[rel="alternate"]')

    assert {(link["type"], link["href"]) for link in links} == {
        ("application/atom+xml", "/changelog.atom"),
        ("application/feed+json", "/changelog.json"),
    }


def test_what_no_xml_can_hold_is_left_out(atom, publish):
    publish(change_file(title="A\ufffeB", reason="C\uffffD \U0001f600", effective_at=in_days(40)))

    entry = children(atom(), "entry")[0]

    assert text(entry, "title") == "Change 2: A\ufffdB"
    assert "C\ufffdD \U0001f600" in text(entry, "content")


def test_a_feed_keeps_to_the_newest_fifty(json_feed, sessions, clock):
    for number in range(55):
        clock.advance(minutes=1)
        with sessions() as session, transaction(session):
            publish_announcement(session, actor=CLI, title=f"News {number}", text="Text.")

    titles = [item["title"] for item in json_feed()]

    assert (len(titles), titles[0], titles[-1]) == (50, "News 54", "News 5")


def test_a_feed_costs_as_many_queries_for_many_as_for_few(
    client, announced, publish, count_queries
):
    client.get("/changelog.atom")
    with count_queries() as few:
        client.get("/changelog.atom")
    for quota in (3900, 3800, 3700):
        publish(change_file(quota, effective_at=in_days(41)))
    client.get("/changelog.atom")

    with count_queries() as many:
        client.get("/changelog.atom")

    assert len(many) == len(few) <= 5


def test_the_check_finds_what_is_wrong():
    """A feed without an author's name, with two ids and a date of another form."""
    root = minidom.parseString(  # noqa: S318 -- written here
        f'<feed xmlns="{ATOM}"><id>a</id><id>b</id><title>t</title>'
        "<updated>2026-11-02</updated><link/></feed>"
    ).documentElement

    found = set(faults(root, once=ONCE_IN_FEED, known=FEED_CHILDREN))

    assert found == {"id must stand once", "updated is no date", "a link without href"}


def test_dates_are_those_of_the_log(json_feed, announced, clock):
    published = datetime.fromisoformat(json_feed()[0]["date_published"])

    assert timedelta(0) <= clock.at - published < timedelta(seconds=1)
