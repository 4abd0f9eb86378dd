"""The product's main job as a new developer meets it, in a real browser and with real processes."""

import json
import re
import shlex
import time

import httpx2
import pytest

from tests.support.product import Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.processes]

PASSWORD = "a quiet harbour at noon"


def sign_up(page, product: Product) -> None:
    page.goto(f"{product.url}/signup")
    page.get_by_label("E-mail address").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Organisation").fill("Acme")
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("heading", name="Check your mail").wait_for()


def confirm(page, product: Product) -> None:
    page.goto(f"{product.url}/dev/mail")
    page.get_by_role("link", name="Confirm your address").click()
    page.locator("pre a").click()
    page.get_by_text("Your address is confirmed.").wait_for()


def issue_key(page, product: Product) -> None:
    page.goto(f"{product.url}/orgs/acme/keys/new")
    page.get_by_label("Name").fill("First key")
    page.get_by_role("button", name="Issue the key").click()
    page.get_by_role("heading", name="Your new key").wait_for()


def copied(page, name: str) -> str:
    page.get_by_role("button", name=name, exact=True).click()
    return str(page.evaluate("navigator.clipboard.readText()"))


def run_curl(command: str) -> httpx2.Response:
    """What curl would do with the line that the page shows."""
    words = shlex.split(command.replace("\\\n", " "))
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    data = words[words.index("-d") + 1]
    return httpx2.post(words[1], headers=headers, content=data, timeout=10)


def test_from_sign_up_to_a_revoked_key(page, product):
    product.launch()

    sign_up(page, product)
    confirm(page, product)
    assert "is on the tier Start." in page.locator("main").inner_text()

    issue_key(page, product)
    key = copied(page, "Copy the key")
    assert re.fullmatch(r"plim_live_[0-9A-Za-z]{36}", key)
    curl = copied(page, "Copy")

    answer = run_curl(curl)
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["output_tokens"] > 0
    assert "RateLimit-Policy" in answer.headers
    assert "RateLimit" in answer.headers

    refusal = exhaust(product, key)
    assert refusal.headers["Content-Type"].startswith("application/problem+json")
    assert refusal.json()["code"] == "limit_exceeded"
    assert refusal.json()["limit"] == "start.fable-5.input_tokens.1m"
    time.sleep(refusal.json()["retry_after_ms"] / 1000)
    assert product.call(key, words=20_000).status_code == 200

    revoked_after = revoke(page, product, key)
    assert revoked_after < 1.0
    assert product.call(key).json()["code"] == "key_revoked"

    page.get_by_text(re.compile(r"1 of 1 gateways, \d+\.\d\d s")).wait_for()


def exhaust(product: Product, key: str) -> httpx2.Response:
    """Call until the limit is met: 500,000 input tokens a minute, and a word is a token here."""
    answer = product.call(key, words=490_000)
    for _ in range(30):
        if answer.status_code == 429:
            return answer
        assert answer.status_code == 200, answer.text
        answer = product.call(key, words=20_000)
    pytest.fail("the limit was never met")


def revoke(page, product: Product, key: str) -> float:
    """Revoke on the page; returns the seconds from the click to the first refusal."""
    page.goto(f"{product.url}/orgs/acme/keys")
    page.get_by_role("link", name="First key").click()
    page.get_by_role("link", name="Revoke").click()
    page.get_by_label("Reason").fill("The journey is over.")
    page.get_by_role("button", name="Revoke the key").click()
    clicked_at = time.monotonic()
    eventually(lambda: product.status(key) == 401, seconds=5)
    return time.monotonic() - clicked_at


def test_a_streamed_answer_arrives_word_by_word_and_is_counted(page, product):
    product.launch()
    sign_up(page, product)
    confirm(page, product)
    issue_key(page, product)
    key = page.locator("#secret").inner_text()

    answer = product.call(key, stream=True)

    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line[:6] == "data: "]
    assert events[-1]["usage"]["output_tokens"] == len(events) - 2
