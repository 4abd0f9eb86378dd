"""Known attacks by script, as a title, a text and a decision: in a real browser, CSP on.

`payloads.txt` holds one a line; "⏎" is a line break. Whatever is written, no script runs, no request
leaves, nothing but our own markup comes of it, and the browser had nothing to forbid, either.
"""

from pathlib import Path

import pytest

from portal.feedback import commands
from portal.feedback.models import Category, Kind
from portal.serve import Server
from tests.feedback.board import find

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]

PAYLOADS = [
    line.replace("⏎", "\n")
    for line in Path(__file__).with_name("payloads.txt").read_text(encoding="utf-8").splitlines()
]
# What the browser may find of itself in what people wrote: the page's own parts stand outside.
FOUND = """() => [...document.querySelectorAll('.prose, .prose *, h1, h1 *')].flatMap(each => {
    const names = each.getAttributeNames().filter(name => !ALLOWED.has(name));
    const kind = each.localName, link = kind === 'a' && each.hasAttribute('href') ? each.protocol : 'https:';
    return [
        ...names.map(name => `${kind} has ${name}`),
        ...(TAGS.has(kind) ? [] : [`there is a ${kind}`]),
        ...(['http:', 'https:', 'mailto:'].includes(link) ? [] : [`a link of ${link}`]),
    ];
})"""
ALLOWED = "const ALLOWED = new Set(['class', 'href', 'title', 'rel', 'start']);"
TAGS = (
    "const TAGS = new Set('a blockquote br code div em h1 h3 h4 h5 h6 hr li ol p pre strong"
    " table tbody td th thead tr ul'.split(' '));"
)


@pytest.fixture
def portal(app):
    server = Server(app, host="127.0.0.1", port=0, threads=8)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def look(page, portal):
    """Open an address, and say what the page made of what was written."""
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))

    def look(path):
        answer = page.goto(f"{portal}{path}")
        assert "script-src" in answer.headers["content-security-policy"]
        page.mouse.move(200, 300)
        page.keyboard.press("Tab")
        found = page.evaluate(f"() => {{ {ALLOWED} {TAGS} return ({FOUND})(); }}")
        assert (found, dialogs, page.url) == ([], [], f"{portal}{path}")
        return page

    return look


def write(board, payloads):
    """A thread of a payload in its title, all of them in its posts, and the first in its decision."""
    title = " ".join(payloads[0].split())[:120]
    opening = commands.Opening(
        kind=Kind.PROBLEM, title=title, text=payloads[0], category=Category.OTHER
    )
    with board.logging() as session:
        actor = board.cast.ada.actor
        number = commands.open_thread(session, actor=actor, opening=opening).number
        session.flush()  # the replies are counted on its row
        thread = find(session, number)
        for payload in payloads[1:]:
            commands.reply(session, actor=actor, thread=thread, text=payload)
    return number


def test_a_few_of_them_come_to_nothing(board, look):
    """Of each kind one: tag, attribute, scheme, reference, picture, template, broken nesting."""
    number = write(board, PAYLOADS[::12])
    board.decide(number, reason=PAYLOADS[21], weighed=PAYLOADS[112])

    for path in (f"/feedback/{number}", "/feedback"):
        look(path)


@pytest.mark.long
def test_no_known_payload_runs_or_reaches_anybody(board, look):
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 100
    numbers = [write(board, [payload, payload]) for payload in PAYLOADS]
    for number, payload in zip(numbers, PAYLOADS, strict=True):
        if number % 10 == 1:
            board.decide(number, reason=payload, weighed=payload)

    for number in numbers:
        look(f"/feedback/{number}")
    look("/feedback")
    look("/feedback?sort=votes")
    look("/feedback/clocks")
