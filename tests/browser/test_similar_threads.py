"""While somebody types a title, what is similar appears; the button goes on without a script, too."""

import pytest

from portal.core.db import transaction
from tests.support.boards import talk

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]


def test_similar_threads_appear_while_a_title_is_typed(page, portal, cast, sessions, sign_in):
    with sessions() as session, transaction(session):
        talk(session, cast)
    sign_in(cast.dan)
    page.goto(f"{portal}/feedback/new")

    page.get_by_label("Title").press_sequentially("Requests")

    page.locator("#similar a", has_text="More requests at night").wait_for()
    assert page.url == f"{portal}/feedback/new"
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url(f"{portal}/feedback/new?title=Requests")
    assert page.get_by_label("Title").input_value() == "Requests"


def test_a_vote_and_a_reply_need_no_new_page(page, portal, cast, sessions, sign_in):
    with sessions() as session, transaction(session):
        talk(session, cast)
    sign_in(cast.dan)
    page.goto(f"{portal}/feedback/1")

    page.get_by_role("button", name="Vote for it").click()
    page.get_by_text("2 votes, yours among them").wait_for()
    page.get_by_label("Your reply").fill("We, too.")
    page.get_by_role("button", name="Post the reply").click()

    page.locator(".post", has_text="We, too.").wait_for()
    assert "?post=pst_" in page.url
