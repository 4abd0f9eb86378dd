"""What the product is for, as people meet it: a limit is lowered, and everybody could know it in time.

The whole product under one clock: the portal, a gateway, the demo API behind it, and real browsers.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from plimsoll.verify import verify
from tests.support.chromium import faults
from tests.support.clocks import GatewayClock
from tests.support.guarded_api import GuardedApi, guarding
from tests.support.product import eventually

pytestmark = [
    pytest.mark.browser,
    # What a browser sees does not depend on the database.
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]

NOTICE = timedelta(days=30)
TITLE = "Fewer requests to Sonnet 5 on Start"
STEP = "Start · Sonnet 5 · requests per minute: 1,000 → 800 (\N{MINUS SIGN}20 %)"


@pytest.fixture
def api(clock, served, sessions, cast, tmp_path: Path) -> Iterator[GuardedApi]:
    with guarding(
        tmp_path, sessions=sessions, portal=served, cast=cast, clock=clock, model="sonnet-5"
    ) as made:
        yield made


def publish(page, portal: str, effective_at: datetime) -> None:
    """What an admin does: a draft from the published table, and the question at its end."""
    page.goto(f"{portal}/admin/changes")
    page.get_by_role("link", name="New change").click()
    page.get_by_role("button", name="Start a draft").click()
    page.get_by_label("Title").fill(TITLE)
    page.get_by_label("Reason").fill("Others wait too long.")
    page.get_by_label("Start · Sonnet 5 · requests per minute: limit").fill("800")
    page.get_by_label("Takes effect at (UTC)").fill(effective_at.strftime("%Y-%m-%dT%H:%M"))
    page.get_by_text("This could be published now.").wait_for()
    assert faults(page) == []
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_role("link", name="Publish…").click()
    page.get_by_role("button", name="Publish it").click()
    page.wait_for_url("**/changelog/2")


def see(page, url: str) -> str:
    """The text of a page, on which axe finds nothing wrong."""
    page.goto(url)
    assert faults(page) == [], url
    return str(page.locator("main").inner_text())


def test_a_tightening_is_seen_everywhere_before_it_holds(api, cast, clock, enter, served, tmp_path):
    effective_at = clock.at + NOTICE + timedelta(hours=1)
    assert api.requests()[1] == 1000
    assert api.announced() is None

    publish(enter(cast.root), served, effective_at)

    # A developer sees it on the dashboard, in the changelog and in the feed,
    ben = enter(cast.ben)
    assert STEP in see(ben, served)
    assert STEP in see(ben, f"{served}/changelog/2")
    assert TITLE in see(ben, f"{served}/changelog")
    assert TITLE in httpx2.get(f"{served}/changelog.json").text
    assert TITLE in httpx2.get(f"{served}/changelog.atom").text
    # and whoever reads neither, in each answer of the API.
    announced = f'2;effective=@{int(effective_at.timestamp())};direction="tightening"'
    eventually(lambda: api.announced() == announced)
    assert api.call().headers["Link"] == f'<{served}/changelog/2>; rel="describedby"'
    assert api.call("fable-5").headers.get("Plimsoll-Limit-Change") is None

    # It holds from its instant, and not a second earlier.
    clock.set(effective_at - timedelta(seconds=1))
    assert (api.requests()[1], api.announced()) == (1000, announced)
    clock.set(effective_at)
    assert (api.requests()[1], api.announced()) == (800, None)

    assert "800" in see(enter(cast.ben), f"{served}/limits")
    # And nobody has to believe any of it.
    steps = verify(served, keep_in=tmp_path / "kept", clock=GatewayClock(clock))
    assert [done.step for done in steps][-1] == "limits"
