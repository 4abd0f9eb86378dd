"""What htmx adds: and that nothing is missing where it does not come."""

import base64
import hashlib
import re

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.web.assets import HTMX_INTEGRITY
from tests.support.chromium import HTMX_FILE, npm_file
from tests.support.factories import make_key

pytestmark = pytest.mark.browser


@pytest.fixture
def key(sessions, cast) -> str:
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        issued = make_key(session, org=org, actor=cast.ada.actor, name="Robot")
    return str(issued.key.id)


@pytest.fixture
def key_page(page, portal, cast, sign_in, key):
    """Ada's page of the key."""
    sign_in(cast.ada)

    def open_page(*, with_htmx: bool = True):
        page.goto(f"{portal}/orgs/acme/keys/{key}")
        if with_htmx:
            page.wait_for_function("window.htmx !== undefined")
        return page

    return open_page


def test_the_question_opens_in_a_dialog_and_bad_input_comes_back_in_it(key_page):
    page = key_page()

    page.get_by_role("link", name="Revoke").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("   ")
    dialog.get_by_role("button", name="Revoke the key").click()

    dialog.get_by_text("1 to 500 characters").wait_for()
    assert dialog.get_by_label("Reason").get_attribute("aria-invalid") == "true"
    assert not page.url.endswith("/revoke"), "the page stayed where it was"


def test_the_dialog_closes_with_nothing_done(key_page):
    page = key_page()

    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("link", name="Cancel").click()

    page.get_by_role("dialog").wait_for(state="hidden")
    assert page.get_by_role("link", name="Revoke").is_visible()


def test_a_key_is_revoked_in_the_dialog(key_page):
    page = key_page()

    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("Lost with the laptop.")
    page.get_by_role("dialog").get_by_role("button", name="Revoke the key").click()

    page.get_by_text("“Robot” is revoked.").wait_for()


def test_without_the_cdn_the_same_works_by_pages(key_page, guard):
    guard.cdn_answers = False
    page = key_page(with_htmx=False)

    page.get_by_role("link", name="Revoke").click()
    page.wait_for_url(re.compile("/revoke$"))
    page.get_by_label("Reason").fill("Lost with the laptop.")
    page.get_by_role("button", name="Revoke the key").click()

    page.get_by_text("“Robot” is revoked.").wait_for()


def test_the_cdns_file_is_the_one_that_pages_ask_for():
    """The hash in the page is of the npm file, to the byte."""
    digest = hashlib.sha384(npm_file(HTMX_FILE).read_bytes()).digest()

    assert f"sha384-{base64.b64encode(digest).decode()}" == HTMX_INTEGRITY


def test_the_meter_looks_again_by_itself_but_not_while_nobody_looks(page, portal, cast, sign_in):
    sign_in(cast.ada)
    # The page's own waits are seconds; whether it is hidden is what the test says.
    page.add_init_script(
        """window.isAway = true;
        Object.defineProperty(document, "hidden", { get: () => window.isAway });
        const wait = window.setTimeout;
        window.setTimeout = (act, after, ...rest) => wait(act, after / 50, ...rest);"""
    )
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "seen=" in sent.url else None)
    page.goto(f"{portal}/orgs/acme/usage")
    page.wait_for_function("window.htmx !== undefined")

    page.wait_for_timeout(500)
    assert asked == []
    page.evaluate("window.isAway = false; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector('[data-poll="20"]')

    assert len(asked) >= 2
    assert page.get_by_role("heading", name="Your limits now").count() == 1
