"""The editor of a draft in a real browser: with htmx, and without any script."""

import pytest

from portal.changelog.drafts import start_draft
from portal.core.actor import CLI
from portal.core.db import transaction
from tests.support.change_files import change_file

pytestmark = pytest.mark.browser

QUOTA = '[id="quota:build.sonnet-5.requests.1m"]'


@pytest.fixture
def editor(sessions, cast, portal, sign_in):
    """The address of a draft that raises a limit; Root is signed in."""
    with sessions() as session, transaction(session):
        draft = start_draft(session, actor=CLI, content=change_file(6000)).id
    sign_in(cast.root)
    return f"{portal}/admin/changes/drafts/{draft}"


def test_while_somebody_types_the_outlook_follows_and_the_focus_stays(page, editor):
    page.goto(editor)
    page.locator("#outlook", has_text="5,000 → 6,000 (+20 %)").wait_for()
    page.wait_for_function("window.htmx")

    page.locator(QUOTA).fill("60000")

    page.locator("#outlook", has_text="5,000 → 60,000").wait_for()
    page.locator(QUOTA).fill("4000")
    page.locator("#outlook", has_text="30 days' notice are promised").wait_for()
    assert page.evaluate("document.activeElement.id") == "quota:build.sonnet-5.requests.1m"


def test_what_cannot_be_read_is_said_while_somebody_types(page, editor):
    page.goto(editor)
    page.wait_for_function("window.htmx")

    page.locator(QUOTA).fill("many")

    page.locator("#outlook", has_text="Give a whole number").wait_for()


def test_without_any_script_the_same_is_drafted_and_published(context, guard, editor, chromium):
    plain = chromium.new_context(java_script_enabled=False)
    plain.add_cookies(context.cookies())
    page = plain.new_page()
    page.goto(editor)

    page.locator(QUOTA).fill("7,000")
    page.get_by_role("button", name="Preview").click()
    assert "5,000 → 7,000 (+40 %)" in page.locator("#outlook").inner_text()
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_role("link", name="Publish…").click()
    page.get_by_role("button", name="Publish it").click()

    assert page.url.endswith("/changelog/2")
    assert "Change 2 is published and signed." in page.locator("#flash").inner_text()
    plain.close()
