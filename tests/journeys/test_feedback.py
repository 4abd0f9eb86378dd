"""A tightening that many object to: held until somebody decides, made milder, and everybody is told.

The whole product under one clock: the portal with its jobs, real browsers, and a stranger who verifies.
"""

import re
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from plimsoll.contract.history import Status
from plimsoll.verify import verify
from portal.core.jobs import Worker
from portal.core.outbox import Mail
from portal.feedback.models import Thread
from portal.housekeeping import all_jobs
from portal.transparency.queries import signed_log
from tests.feedback.board import Board
from tests.support.chromium import faults
from tests.support.clocks import GatewayClock
from tests.support.product import eventually

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    # What a browser sees does not depend on the database.
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]

DAYS = timedelta(days=31)
TITLE = "Fewer requests to Sonnet 5 on Start"
THRESHOLD = 4


@pytest.fixture
def settings(settings):
    """Four organisations are enough here."""
    return replace(settings, attention_threshold=THRESHOLD)


@pytest.fixture
def working(clock, sessions, settings):
    """The jobs of the product, as they run beside the web server."""
    worker = Worker(all_jobs(sessions, settings), sessions)
    worker.start()
    yield
    worker.close()


def publish(page, portal: str, *, title: str, quota: str, at, reason: str) -> None:
    page.goto(f"{portal}/admin/changes")
    page.get_by_role("link", name="New change").click()
    page.get_by_role("button", name="Start a draft").click()
    page.get_by_label("Title").fill(title)
    page.get_by_label("Reason").fill(reason)
    page.get_by_label("Start · Sonnet 5 · requests per minute: limit").fill(quota)
    page.get_by_label("Takes effect at (UTC)").fill(at.strftime("%Y-%m-%dT%H:%M"))
    page.get_by_text("This could be published now.").wait_for()
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_role("link", name="Publish…").click()
    page.get_by_role("button", name="Publish it").click()
    page.wait_for_url(re.compile(r"/changelog/\d+$"))


def read(page, url: str) -> str:
    """The text of a page, on which axe finds nothing wrong."""
    page.goto(url)
    assert faults(page) == [], url
    return str(page.locator("main").inner_text())


def change(sessions, number: int):
    with sessions() as session:
        return signed_log(session).history.changes[number]


def thread_of(sessions, number: int):
    with sessions() as session:
        return session.scalar(select(Thread).where(Thread.change == number))


def object_to(page, url: str) -> None:
    """A developer votes for the thread, and writes."""
    read(page, url)
    page.get_by_role("button", name="Vote for it").click()
    page.get_by_text("yours among them").wait_for()
    page.locator("#reply-form textarea").fill("We call it **900** times a minute.")
    page.get_by_role("button", name="Post the reply").click()
    page.get_by_text("Your reply is posted.").wait_for()


def decide(page, portal: str, number: int) -> None:
    page.goto(f"{portal}/admin/feedback")
    assert faults(page) == []
    page.get_by_role("link", name=f"Change 2: {TITLE}").click()
    page.wait_for_url(f"**/admin/feedback/{number}")
    assert faults(page) == []
    page.get_by_role("link", name="Decide").click()
    page.wait_for_url("**/decide")
    page.get_by_label("Adopted, partly").check()
    page.get_by_label("Reason").fill("Less is needed than we thought: it falls by a tenth only.")
    page.get_by_label("What was weighed").fill("What you call, against what others wait.")
    assert faults(page) == []
    page.get_by_role("button", name="Decide").click()
    page.wait_for_url(f"**/feedback/{number}")


def replace_by_milder(app, root, portal: str, number: int, *, at) -> None:
    """The change goes, and one that takes less names the thread that asked for it."""
    args = ["changes", "withdraw", "2", "--reason", "A milder one comes."]
    assert app.test_cli_runner().invoke(args=args).exit_code == 0
    reason = f"You said what you need in [this thread](/feedback/{number})."
    title = "A tenth fewer requests to Sonnet 5 on Start"
    publish(root, portal, title=title, quota="900", at=at, reason=reason)


def test_what_many_object_to_is_held_decided_made_milder_and_told(
    app, cast, clock, enter, served, sessions, settings, working, tmp_path
):
    board, root, ben = Board(sessions, settings, cast), enter(cast.root), enter(cast.ben)

    # A tightening is published, and its thread is there within a second.
    publish(root, served, title=TITLE, quota="800", at=clock.at + DAYS, reason="Others wait.")
    began = time.monotonic()
    number = eventually(lambda: thread_of(sessions, 2)).number
    assert time.monotonic() - began < 1.0
    page = f"{served}/feedback/{number}"
    assert "The thread of this change" in read(ben, f"{served}/changelog/2")

    # Developers vote and write, until they are enough.
    object_to(ben, page)
    board.crowd(number, THRESHOLD - 2)
    assert change(sessions, 2).status is Status.ANNOUNCED
    object_to(enter(cast.dan), page)
    eventually(lambda: change(sessions, 2).status is Status.HELD)
    assert f"{THRESHOLD} organisations voted or wrote" in read(ben, f"{served}/changelog/2")

    # Somebody decides, which ends the hold; a milder change names the thread, and the thread says so.
    decide(root, served, number)
    eventually(lambda: change(sessions, 2).status is Status.ANNOUNCED)
    replace_by_milder(app, root, served, number, at=clock.at + DAYS)
    eventually(lambda: "Change 3" in posts_of(board, number))
    assert "Decision: Adopted, partly" in read(ben, page)
    assert "Adopted, partly" in read(ben, f"{served}/changelog/3")

    # Everyone who voted or wrote is told once, and nobody has to believe any of it.
    event = f"decision:{thread_of(sessions, 2).decision_id}"
    people = eventually(lambda: len(told(sessions, event)) == THRESHOLD and told(sessions, event))
    assert {"ben@example.com", "dan@example.com"} < set(people)
    steps = verify(served, keep_in=tmp_path / "kept", clock=GatewayClock(clock))
    assert [done.step for done in steps][-1] == "limits"


def posts_of(board, number: int) -> str:
    return " ".join(post.text for post in board.posts(number))


def told(sessions, event: str) -> list[str]:
    with sessions() as session:
        return list(session.scalars(select(Mail.to).where(Mail.event == event)))
