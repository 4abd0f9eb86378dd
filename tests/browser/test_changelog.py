"""The changelog as people work it in a browser."""

import pytest

from tests.support.change_files import CELL, change_file, in_days
from tests.support.changes import publish, run

__all__ = ["publish", "run"]
pytestmark = pytest.mark.browser


@pytest.fixture
def two(clock, publish):
    """Change 2 cuts Build on day 40, change 3 raises Start."""
    clock.advance(minutes=1)
    publish(change_file(effective_at=in_days(40)))
    publish(change_file(title="More", rows=[{**CELL, "tier": "start", "quota": 1200}]))


def titles(page):
    return [title.partition(":")[0] for title in page.locator(".news-title a").all_inner_texts()]


@pytest.mark.parametrize("way", ["with htmx", "without scripts"])
def test_a_developer_finds_what_will_tighten(two, portal, page, way):
    if way == "without scripts":
        page.route("**/*.js", lambda route: route.abort())
    page.goto(f"{portal}/changelog")
    if way == "with htmx":
        page.wait_for_function("window.htmx !== undefined")

    page.get_by_text("Show only some").click()
    page.get_by_label("Direction").select_option("tightening")
    if way == "without scripts":
        page.get_by_role("button", name="Show").click()

    page.get_by_text("1 entry fits").wait_for()
    assert titles(page) == ["Change 2"]
    assert "direction=tightening" in page.url
    page.reload()
    assert titles(page) == ["Change 2"], "the address says what is shown"


def test_all_is_marked_as_read_where_it_stands(two, page, portal, cast, sign_in):
    sign_in(cast.ada)
    page.goto(f"{portal}/changelog")
    page.wait_for_function("window.htmx !== undefined")
    assert page.get_by_text("2 unread.").is_visible()

    page.get_by_role("button", name="Mark all as read").click()

    page.get_by_text("All is marked as read.").wait_for()
    assert page.get_by_text("Unread").count() == 0
    assert titles(page) == ["Change 3", "Change 2", "Change 1"]


def test_the_dashboard_leads_to_the_change_that_tightens(
    page, portal, cast, sign_in, clock, publish
):
    publish(change_file(rows=[{**CELL, "tier": "start", "quota": 800}], effective_at=in_days(40)))
    sign_in(cast.ada)
    page.goto(portal)

    page.get_by_role("link", name="change 2").click()

    lead = page.locator(".page-header-lead").inner_text()
    assert lead.startswith("From 2026-12-12 12:00 UTC: Start · Sonnet 5 · requests per minute")
    assert page.locator('.timeline-step[data-state="now"]').count() == 1
