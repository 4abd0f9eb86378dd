import pytest

from portal.accounts.models import User
from portal.core.db import transaction
from tests.support.chromium import faults
from tests.support.factories import make_org

pytestmark = pytest.mark.browser


def test_on_a_phone_the_other_organisations_open_under_the_bar(
    page, portal, cast, sign_in, sessions
):
    with sessions() as session, transaction(session):
        make_org(session, name="Gull", owner=session.get_one(User, cast.ada.user_id))
    page.set_viewport_size({"width": 360, "height": 900})
    sign_in(cast.ada)
    page.goto(f"{portal}/orgs/acme/members")

    page.get_by_role("banner").locator("summary").click()
    assert not faults(page)
    page.get_by_role("link", name="Gull").click()

    assert page.get_by_role("heading", level=1).inner_text() == "Gull"
    page.goto(f"{portal}/")
    assert page.get_by_role("heading", level=1).inner_text() == "Gull"
