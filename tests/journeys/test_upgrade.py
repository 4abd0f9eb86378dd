"""From a checklist to the top tier: asked for, talked about, approved, and enforced within a second.

The whole product under one clock: the portal, a gateway, the demo API behind it, and real browsers.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authenticator import give_authenticator
from tests.support.chromium import faults
from tests.support.guarded_api import GuardedApi, guarding
from tests.support.product import eventually

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    # What a browser sees does not depend on the database.
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]

CALLS = 7


@pytest.fixture
def api(clock, served, sessions, cast, tmp_path: Path) -> Iterator[GuardedApi]:
    """An organisation that is thirty days old, with a key."""
    clock.advance(days=30)
    with guarding(
        tmp_path, sessions=sessions, portal=served, cast=cast, clock=clock, model="opus-5"
    ) as made:
        yield made


def read(page) -> str:
    """The text of the page, on which axe finds nothing wrong."""
    assert faults(page) == [], page.url
    return str(page.locator("main").inner_text())


def request(page, day: str) -> None:
    page.get_by_role("link", name="Request Scale").click()
    read(page)
    page.get_by_label("What you build").fill("A weather service for sailors.")
    group = page.get_by_role("group", name="Opus 5")
    group.get_by_label("Requests per minute").fill("8,000")
    page.get_by_label("From when (UTC)").fill(day)
    page.get_by_role("button", name="Send the request").click()
    page.get_by_text("Your request for Scale is sent.").wait_for()


def take_up_and_ask(page, portal: str) -> None:
    page.goto(f"{portal}/admin/requests")
    read(page)
    page.get_by_role("link", name="Acme", exact=True).click()
    read(page)
    page.get_by_role("link", name="Take up").click()
    page.get_by_role("button", name="Take it up").click()
    page.get_by_text("The request of Acme is in review.").wait_for()
    page.get_by_role("link", name="Ask a question").click()
    page.get_by_role("textbox", name="Question").fill("How many sailors?")
    page.get_by_role("button", name="Send the question").click()
    page.get_by_text("waits for the answer to your question").wait_for()


def answer(page) -> None:
    page.reload()
    assert "How many sailors?" in read(page)
    page.get_by_label("Your answer").fill("Two hundred thousand.")
    page.get_by_role("button", name="Send the answer").click()
    page.get_by_text("Your answer is sent.").wait_for()


def approve(page, portal: str) -> float:
    """Approve on the page; returns when the button was pressed."""
    page.goto(f"{portal}/admin/requests")
    page.get_by_role("link", name="Acme", exact=True).click()
    assert "Two hundred thousand." in read(page)
    page.get_by_role("link", name="Approve").click()
    page.get_by_label("Reason").fill("Sailors need it.")
    pressed_at = time.monotonic()
    page.get_by_role("button", name="Approve it").click()
    return pressed_at


def test_a_request_for_the_top_tier_from_checklist_to_header(
    api, cast, clock, enter, served, sessions
):
    for _ in range(CALLS):
        before = api.requests()
    assert before[:2] == ("start", 1000)
    ada, root = enter(cast.ada), enter(cast.root)

    # The checklist says what is open, and what is done about it shows at once.
    ada.goto(served)
    ada.get_by_role("link", name="Tier", exact=True).click()
    assert "Second factor: not yet" in read(ada)
    give_authenticator(sessions, cast.ada)
    ada.reload()
    assert "Second factor: done" in read(ada)

    request(ada, clock.at.date().isoformat())
    take_up_and_ask(root, served)
    answer(ada)
    pressed_at = approve(root, served)
    _, quota, left = eventually(lambda: (found := api.requests())[0] == "scale" and found)
    took = time.monotonic() - pressed_at

    assert quota == 10_000
    # The clock stood still: what was used is used, and each call since then has been counted.
    assert quota - left >= 1000 - before[2] + 1
    assert took < 1.0
    ada.goto(f"{served}/orgs/acme/tier")
    text = read(ada)
    assert "Acme is on the tier Scale" in text
    assert "Sailors need it." in text
