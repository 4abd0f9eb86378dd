"""Several organisations per person, their settings, and where old addresses lead."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.accounts.models import User
from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.orgs.commands import move_org
from portal.orgs.models import Org, Role
from tests.support.factories import make_key, make_org

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SETTINGS = "/orgs/acme/settings"


def test_a_person_creates_a_further_organisation(as_ada, both_ways):
    form = as_ada.get("/orgs/new").form("new_org").fill(name="Gull")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/orgs/gull")

    assert page.flash == "You own Gull now."
    assert page.all(".switcher summary") == ["Gull"]
    assert page.link("Acme") == "/orgs/acme"


def test_the_one_looked_at_last_is_the_current_one(as_ada, cast, sessions):
    with sessions() as session, transaction(session):
        make_org(session, name="Gull", owner=session.get_one(User, cast.ada.user_id))
    as_ada.get("/orgs/gull/keys")

    page = as_ada.get("/")

    assert page.h1 == "Gull"
    assert as_ada.get("/changelog").link("API keys") == "/orgs/gull/keys"


@on_sqlite
def test_what_one_may_do_is_of_the_organisation_that_the_page_is_about(visit, client, cast, member):
    member(cast.dan, Role.VIEWER)
    cast.sign_in(client, cast.dan)

    assert "Settings" in visit.get("/orgs/delta").all(".sidenav a")
    assert "Settings" not in visit.get("/orgs/acme").all(".sidenav a")


@on_sqlite
def test_a_name_that_is_none_makes_no_organisation(as_ada, both_ways):
    page = (
        as_ada.get("/orgs/new")
        .form("new_org")
        .fill(name="a\u202eb")
        .submit(htmx=both_ways.is_htmx, status=422)
    )

    assert page.errors["name"]


@on_sqlite
def test_whoever_has_not_proved_an_address_makes_no_second_one(as_ada, cast, sessions):
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).email_confirmed_at = None

    page = as_ada.get("/orgs/new").form("new_org").fill(name="Gull").submit(status=422)

    assert "Confirm your e-mail address" in page.errors["name"]


def test_an_organisation_is_renamed(as_ada, both_ways, journal, cast, outbox, member):
    member(cast.ben, Role.OWNER)
    form = as_ada.get(SETTINGS).form("rename").fill(name="Acme Weather")

    page = form.submit(htmx=both_ways.is_htmx, redirect=SETTINGS)

    assert page.all(".switcher summary") == ["Acme Weather"]
    (event,) = [event for event in journal() if event.tag == "org:renamed"]
    assert (event.told["was"], event.told["name"]) == ("Acme", "Acme Weather")
    assert [mail.to for mail in outbox() if "is called" in mail.subject] == ["ben@example.com"]


@on_sqlite
def test_settings_are_not_there_for_outsiders_nor_for_developers(visit, client, cast):
    client.application.config["WTF_CSRF_ENABLED"] = False
    for person, status in ((cast.dan, 404), (cast.ben, 403)):
        cast.sign_in(client, person)

        for path in (SETTINGS, f"{SETTINGS}/name", f"{SETTINGS}/address"):
            visit.send("GET" if path == SETTINGS else "POST", path, status=status)


@on_sqlite
@pytest.mark.parametrize(("field", "value"), [("name", ""), ("slug", "Acme"), ("slug", "delta")])
def test_settings_that_cannot_be_change_nothing(as_ada, cast, field, value):
    form = as_ada.get(SETTINGS).form("rename" if field == "name" else "move")

    page = form.fill({field: value}).submit(status=422)

    assert page.errors[field]
    assert as_ada.get("/orgs/acme").h1 == "Acme"


def test_an_old_address_leads_to_the_new_one(as_ada, both_ways, cast, sessions, client):
    with sessions() as session, transaction(session):
        key = make_key(session, org=session.get_one(Org, cast.acme.id)).key
    old_form = as_ada.get(f"/orgs/acme/keys/{key.id}/revoke").form("revoke").fill(reason="Old.")

    form = as_ada.get(SETTINGS).form("move").fill(slug="acme-weather")
    form.submit(htmx=both_ways.is_htmx, redirect="/orgs/acme-weather/settings")

    as_ada.get("/orgs/acme", redirect="/orgs/acme-weather")
    answer = client.get(f"/orgs/acme/keys/{key.id}?looks=3")
    assert answer.location == f"/orgs/acme-weather/keys/{key.id}?looks=3"
    assert answer.headers["Cache-Control"] == "no-store"
    # A form that was open meanwhile still does what it says.
    values = {name: value[0] for name, value in old_form.values.items()}
    led_on = client.post(old_form.action, data=values)
    assert led_on.status_code == 307
    as_ada.post(led_on.location, data=values, redirect=f"/orgs/acme-weather/keys/{key.id}")


@on_sqlite
def test_an_old_address_tells_an_outsider_nothing(as_ada, client, cast):
    as_ada.get(SETTINGS).form("move").fill(slug="acme-weather").submit(
        redirect="/orgs/acme-weather/settings"
    )
    cast.sign_in(client, cast.dan)

    as_ada.get("/orgs/acme", status=404)
    # The staff find it.
    cast.sign_in(client, cast.root)
    as_ada.get("/admin/orgs/acme", redirect="/admin/orgs/acme-weather")


def test_nobody_else_gets_an_address_that_was_somebodys(as_ada, client, cast, sessions):
    """Old links, in mails and bookmarks, must never lead into a stranger's organisation."""
    as_ada.get(SETTINGS).form("move").fill(slug="gull").submit(redirect="/orgs/gull/settings")
    with sessions() as session, transaction(session):
        assert make_org(session, name="Acme").slug.startswith("acme-")
    cast.sign_in(client, cast.dan)
    form = as_ada.get("/orgs/delta/settings").form("move").fill(slug="acme")

    assert "or had it once" in form.submit(status=422).errors["slug"]

    # Whose it was may have it back.
    cast.sign_in(client, cast.ada)
    as_ada.get("/orgs/gull/settings").form("move").fill(slug="acme").submit(redirect=SETTINGS)
    as_ada.get("/orgs/gull", redirect="/orgs/acme")


def test_of_two_who_want_one_address_at_once_one_gets_it(sessions, cast):
    def move(person, org_id):
        try:
            with sessions() as session, transaction(session):
                org = session.get_one(Org, org_id, with_for_update=True)
                move_org(session, actor=person.actor, org=org, slug="gull", url="http://x")
        except PortalError as error:
            return error.code
        return "moved"

    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(move, (cast.ada, cast.dan), (cast.acme.id, cast.delta.id))

    assert sorted(answers) == ["moved", "slug_used"]
