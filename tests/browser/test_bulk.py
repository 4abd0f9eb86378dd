"""A bulk act by hand, from the list to the results, as people of both schemes and screens meet it."""

import pytest

from tests.browser.test_every_page import SCREENS, faults

pytestmark = pytest.mark.browser


def seen(page, heading):
    """What is wrong with the page of this heading, once it is there."""
    page.get_by_role("heading", level=1, name=heading).wait_for()
    return faults(page)


@pytest.mark.parametrize("scheme", SCREENS)
def test_a_tier_is_assigned_to_several_step_by_step(page, portal, cast, sign_in, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": SCREENS[scheme], "height": 900})
    sign_in(cast.root)
    page.goto(f"{portal}/admin/orgs")
    page.get_by_label("Choose Acme").check()
    page.get_by_label("Choose Delta").check()
    page.get_by_role("button", name="Assign a tier").click()
    page.get_by_label("Build").check()
    page.get_by_label("Reason").fill("A gift.")

    page.get_by_role("button", name="Show what it does").click()
    preview = seen(page, "What it does to each")
    page.get_by_role("button", name="Assign to 2 organisations").click()

    assert (preview, seen(page, "Tiers assigned")) == ([], [])
    assert page.get_by_text("Done for 2 organisations.").is_visible()


@pytest.mark.parametrize("scheme", SCREENS)
def test_owners_are_told_step_by_step(page, portal, cast, sign_in, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": SCREENS[scheme], "height": 900})
    sign_in(cast.root)
    page.goto(f"{portal}/admin/orgs")
    page.get_by_label("whatever is ticked above").check()
    page.get_by_role("button", name="Message the owners").click()
    page.get_by_label("Subject").fill("Maintenance")
    page.get_by_label("Text").fill("On Monday, at noon.")

    page.get_by_role("button", name="Show the mail").click()
    preview = seen(page, "The mail as it is sent")
    page.get_by_role("button", name="Send to the owners of 2 organisations").click()

    assert (preview, seen(page, "Owners told")) == ([], [])
    assert page.get_by_text("Done for 2 organisations.").is_visible()
