"""A real Chromium that can reach this machine and nothing else.

The CDN's address of htmx is answered from the npm file, its integrity checked by the browser as ever;
every other foreign address is refused and noted, which proves that pages call no third party.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portal.web.assets import HTMX_URL
from tests.support.databases import missing
from tests.support.worlds import TOP

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HTMX_FILE = TOP / "node_modules/htmx.org/dist/htmx.min.js"
AXE_FILE = TOP / "node_modules/axe-core/axe.min.js"
LOCAL = ("http://127.0.0.1:", "http://localhost:", "data:", "blob:")
TIMEOUT_MS = 10_000


def program() -> str:
    """The browser's path. Without one a laptop skips, and CI fails."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    return (
        os.environ.get("CHROMIUM") or (found or [missing("there is no Chromium: `make test`")])[0]
    )


def npm_file(path: Path) -> Path:
    """A file from npm that `make test` fetches."""
    return path if path.exists() else missing(f"{path.name} is not here: `make test` fetches it")


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    path = program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Guard:
    """What a page may fetch; `foreign` notes what it tried beyond that."""

    def __init__(self) -> None:
        self.foreign: list[str] = []
        self.cdn_answers = True

    def __call__(self, route: "Route") -> None:
        url = route.request.url
        if url.startswith(LOCAL):
            route.continue_()
        elif url == HTMX_URL and self.cdn_answers:
            headers = {"access-control-allow-origin": "*", "content-type": "text/javascript"}
            route.fulfill(path=npm_file(HTMX_FILE), headers=headers)
        else:
            if url != HTMX_URL:
                self.foreign.append(url)
            route.abort()


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def context(chromium: "Browser", guard: Guard) -> "Iterator[BrowserContext]":
    """One person's browser. Fails where a page tried to reach anything foreign."""
    npm_file(HTMX_FILE)
    made = chromium.new_context()
    made.set_default_timeout(TIMEOUT_MS)
    made.route("**/*", guard)
    made.grant_permissions(["clipboard-read", "clipboard-write"])
    yield made
    made.close()
    assert guard.foreign == []


@pytest.fixture
def page(context: "BrowserContext") -> "Iterator[Page]":
    """A tab. Fails where a script on a page raised, or the console shows an error."""
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda said: errors.append(said.text) if _is_ours(said) else None)
    yield tab
    assert errors == []


def _is_ours(said: Any) -> bool:
    # An aborted CDN and a 4xx that a test asks for are reported by the browser, not by a page of ours.
    return said.type == "error" and "Failed to load resource" not in said.text


def faults(page: "Page") -> list[str]:
    """What is wrong with a page: axe's violations, and whether it is wider than the screen."""
    page.wait_for_load_state()  # a click that leads elsewhere waits for the answer's first byte only
    page.evaluate(npm_file(AXE_FILE).read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    found = [
        f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes']]}"
        for each in result["violations"]
    ]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the screen")
    return found
