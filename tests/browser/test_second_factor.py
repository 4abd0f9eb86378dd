"""Setting up a second factor and signing in with it, as a person does."""

import pytest

from tests.support.authenticator import Authenticator

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("with_htmx", [True, False], ids=["htmx", "plain"])
def test_from_the_account_page_to_the_next_sign_in(page, portal, cast, sign_in, guard, with_htmx):
    guard.cdn_answers = with_htmx
    sign_in(cast.ada)
    page.goto(f"{portal}/orgs/acme")
    page.get_by_role("link", name=cast.ada.email).click()
    page.get_by_role("link", name="Set up a second factor").click()
    page.wait_for_url(f"{portal}/account/second-factor")
    if with_htmx:
        page.wait_for_function("window.htmx !== undefined")
    phone = Authenticator(page.locator("#secret").inner_text())

    page.get_by_label("Code that your app shows now").fill(phone.code())
    page.get_by_role("button", name="Turn it on").click()
    page.locator("#recovery-codes").wait_for()

    # The heading of the page before went with its form.
    assert page.locator("h1").all_inner_texts() == ["Your second factor is on"]
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{portal}/login")
    page.get_by_label("E-mail address").fill(cast.ada.email)
    page.get_by_label("Password").fill(cast.ada.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").fill(phone.code(steps=1))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{portal}/")
    assert page.locator("h1").inner_text() == "Acme"
