import pytest

from portal.accounts.cli import make_admin
from portal.accounts.passwords import is_right
from portal.core.db import transaction

pytestmark = pytest.mark.usefixtures("clock")

NEW = "an entirely new one"


@pytest.fixture
def link(app, cast):
    """The one-time link that `admin create` prints for Ben."""
    from portal.web.session import session

    with app.app_context():
        with transaction(session()):
            token = make_admin(cast.ben.email)
        return f"/set-password/{token}"


def test_the_link_sets_the_password_and_signs_in(visit, both_ways, link, person, cast):
    form = visit.get(link).form("set-password").fill(password=NEW)

    page = form.submit(htmx=both_ways.is_htmx, redirect="/")

    assert page.flash == "Your password is set."
    assert is_right(person(cast.ben.email).password_hash, NEW)


def test_every_other_session_ends(visit, app, link, cast):
    elsewhere = app.test_client()
    cast.sign_in(elsewhere, cast.ben)

    visit.get(link).form("set-password").fill(password=NEW).submit(redirect="/")

    assert elsewhere.get("/orgs/acme").status_code == 303


def test_a_used_link_is_gone(visit, link, client):
    form = visit.get(link).form("set-password").fill(password=NEW)
    form.submit(redirect="/")

    visit.get(link, status=410)
    form.values["csrf_token"] = visit.get("/").form("Sign out").values["csrf_token"]
    form.fill(password="yet another one").submit(status=410)


def test_a_link_ends_with_its_time(visit, link, clock):
    clock.advance(hours=24)

    visit.get(link, status=410)


def test_a_link_of_another_purpose_sets_no_password(visit, sign_up, newest_link, catalog):
    sign_up()

    visit.get(newest_link().replace("confirm", "set-password"), status=410)


@pytest.mark.parametrize("password", ["", "short", "x" * 201, "ben@example.com"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_weak_password_is_refused_and_the_link_stays_good(visit, both_ways, link, password):
    form = visit.get(link).form("set-password")

    page = form.fill(password=password).submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["password"]
    form.fill(password=NEW).submit(redirect="/")
