"""In production the staff's pages open only to staff with a second factor."""

from dataclasses import replace

import pytest

from portal.config import Env
from tests.architecture.test_routes import address, rules
from tests.support.authenticator import Authenticator, give_authenticator
from tests.support.visit import Visit

pytestmark = pytest.mark.usefixtures("cast", "clock")

SET_UP = "/account/second-factor"


@pytest.fixture
def settings(settings):
    return replace(settings, env=Env.PRODUCTION, url="http://localhost")


@pytest.fixture
def root(app, cast):
    """Root's browser."""
    client = app.test_client()
    app.config["SESSION_COOKIE_SECURE"] = False  # the test client has no TLS
    cast.sign_in(client, cast.root)
    return client


def staff_paths(app, method):
    return [
        path for rule in rules(app, method) if (path := address(app, rule)).startswith("/admin")
    ]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_one_the_staff_reach_nothing_but_the_set_up(app, root, cast, journal, method):
    app.config["WTF_CSRF_ENABLED"] = False
    before = len(journal())

    answers = {path: root.open(path, method=method) for path in staff_paths(app, method)}

    assert len(answers) > 5
    assert {each.status_code for each in answers.values()} == {303}
    assert {each.location for each in answers.values()} == {SET_UP}
    assert len(journal()) == before


def test_the_way_to_the_set_up_is_said(root, both_ways):
    answer = root.get("/admin/orgs", headers=both_ways.headers)

    assert (answer.headers.get("HX-Redirect") or answer.location) == SET_UP
    page = root.get(SET_UP).get_data(as_text=True)
    assert "open once your second factor is on" in page


def test_with_one_the_pages_open(root, sessions, cast):
    give_authenticator(sessions, cast.root)

    assert root.get("/admin/orgs").status_code == 200


def test_from_nothing_to_the_pages_of_the_staff(root):
    """The way of a new admin, who has just set their password by the operator's link."""
    visit = Visit(root)
    page = visit.get("/admin/orgs", redirect=SET_UP)
    phone = Authenticator(page.one("#secret").get_text())
    done = page.form("set-up").fill(code=phone.code()).submit()

    assert done.h1 == "Your second factor is on"
    assert visit.get("/", redirect="/admin/orgs").h1 == "Organisations"


def test_a_browser_that_the_password_alone_signed_in_does_not_become_the_staffs(root, app, cast):
    """Somebody who knows an admin's password waits, signed in, until the admin has set up a code."""
    waiting = app.test_client()
    cast.sign_in(waiting, cast.root)
    page = Visit(root).get(SET_UP)
    phone = Authenticator(page.one("#secret").get_text())

    page.form("set-up").fill(code=phone.code()).submit()

    assert root.get("/admin/orgs").status_code == 200
    assert waiting.get("/admin/orgs").location == "/login?next=/admin/orgs"


def test_turning_it_off_closes_them(root, sessions, cast):
    give_authenticator(sessions, cast.root)
    cast.sign_in(root, cast.root)
    visit = Visit(root)

    visit.get("/account/second-factor/off").form("turn-off").submit(redirect=SET_UP)

    assert root.get("/admin/orgs").location == SET_UP


def test_others_are_still_told_that_there_is_nothing(root, cast):
    cast.sign_in(root, cast.ada)

    assert root.get("/admin/orgs").status_code == 404


def test_in_development_nobody_is_held_up(root, app, settings):
    app.extensions["portal.settings"] = replace(settings, env=Env.DEVELOPMENT)

    assert root.get("/admin/orgs").status_code == 200
