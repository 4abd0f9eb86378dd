"""Another address for an account: both mailboxes say yes, and a stranger learns nothing."""

import re
from urllib.parse import urlsplit

import pytest

from portal.accounts.models import LinkPurpose
from portal.accounts.queries import find_user_by_email, get_user
from portal.core.db import transaction

NEW = "ada@example.net"


@pytest.fixture
def links(outbox):
    """The links of the newest mails, by whom they went to."""

    def read():
        found = {}
        for mail in reversed(outbox()):
            link = re.search(r"https?://\S+/email-change/\S+", mail.text)
            if link:
                found[mail.to] = urlsplit(link[0]).path
        return found

    return read


@pytest.fixture
def ask(as_ada):
    """Ask for another address, signed in as Ada."""

    def send(email=NEW, *, htmx=False, **answer):
        form = as_ada.get("/account/email").form("new-address").fill(email=email)
        return form.submit(htmx=htmx, **answer or {"redirect": "/account/email"})

    return send


def yes(visit, link, redirect="/"):
    return visit.get(link).form("Yes, it is me").submit(redirect=redirect)


def no(visit, link, redirect):
    return visit.get(link).form("No, stop it").submit(redirect=redirect)


@pytest.mark.parametrize("order", [(NEW, "ada@example.com"), ("ada@example.com", NEW)])
def test_the_address_changes_once_both_have_said_yes(
    visit, ask, links, person, both_ways, order, tags, outbox
):
    ask(htmx=both_ways.is_htmx)
    said = links()

    yes(visit, said[order[0]])
    assert person(NEW) is None
    page = yes(visit, said[order[1]])

    assert page.flash.startswith("Your account has its new address.")
    assert person(NEW).email_confirmed_at
    assert person("ada@example.com") is None
    assert tags()[-1] == "user:email:changed"
    assert (outbox()[0].to, outbox()[0].subject) == (
        "ada@example.com",
        "Your account has another address",
    )
    for link in said.values():
        visit.get(link, status=410)


def test_saying_yes_twice_counts_for_one_address_only(visit, ask, links, app, person):
    ask()
    link = links()[NEW]
    yes(visit, link)
    app.config["WTF_CSRF_ENABLED"] = False

    visit.post(f"{link}/confirm", redirect="/")

    assert person(NEW) is None


def test_a_program_that_opens_the_links_of_a_mail_says_nothing(client, ask, links, person):
    ask()

    for link in links().values():
        assert client.get(link).status_code == 200
        assert client.head(link).status_code == 200

    assert person(NEW) is None


def test_a_no_from_the_old_address_signs_everybody_out(visit, ask, links, person):
    ask()
    said = links()

    page = no(visit, said["ada@example.com"], "/forgot-password")

    assert "every browser is signed out" in page.flash
    visit.get(said[NEW], status=410)
    visit.get("/account", redirect="/login?next=/account")


def test_a_no_from_the_new_address_only_stops_the_change(visit, ask, links):
    ask()

    no(visit, links()[NEW], "/")

    assert visit.is_signed_in
    visit.get("/account")


def test_an_address_that_somebody_has_is_told_to_them_and_to_nobody_else(
    visit, ask, links, outbox, cast, person
):
    page = ask(cast.ben.email)

    assert page.flash == ask("nobody@example.com").flash.replace("nobody@", "ben@")
    assert "ben@example.com" not in links()
    assert any(
        mail.to == "ben@example.com" and mail.subject == "You have an account under this address"
        for mail in outbox()
    )


def test_an_address_that_is_taken_meanwhile_leaves_everything_as_it_was(
    visit, ask, links, sessions, person
):
    from portal.core.db import transaction
    from tests.support.factories import make_user

    ask()
    with sessions() as session, transaction(session):
        make_user(session, email=NEW)
    said = links()
    yes(visit, said[NEW])

    page = yes(visit, said["ada@example.com"])

    assert "Somebody has signed up with the new address meanwhile" in page.flash
    assert person("ada@example.com") is not None


def test_an_address_that_was_never_confirmed_need_not_say_yes(
    visit, client, cast, sessions, ask, links, person
):
    from portal.accounts.models import User
    from portal.core.db import transaction

    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).email_confirmed_at = None

    ask()
    assert list(links()) == [NEW]
    yes(visit, links()[NEW])

    assert person(NEW).email_confirmed_at


def test_links_to_the_old_mailbox_open_the_account_no_more(visit, ask, links, sessions, cast):
    from portal.accounts.commands import make_link
    from portal.accounts.models import User
    from portal.core.db import transaction

    with sessions() as session, transaction(session):
        ada = session.get_one(User, cast.ada.user_id)
        token = make_link(session, user=ada, purpose=LinkPurpose.RESET_PASSWORD)
    ask()
    for link in list(links().values()):
        yes(visit, link)

    visit.get(f"/set-password/{token}", status=410)


def test_the_change_is_stopped_where_it_was_asked_for(visit, ask, links):
    ask()
    page = visit.get("/account/email")
    assert "Neither address has said yes so far." in page.text

    page.form("Stop the change").submit(redirect="/account/email")

    visit.get(links()[NEW], status=410)


def test_a_borrowed_screen_does_not_do(clock, as_ada, both_ways, outbox):
    clock.advance(minutes=15)
    form = as_ada.get("/account/email").form("new-address")
    form.fill(email=NEW, proof_password="a wrong one")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["proof_password"]
    assert outbox() == []


@pytest.mark.parametrize("email", ["", "no address", "ada@example.com"])
def test_bad_input_is_said_beside_the_field(ask, both_ways, outbox, email):
    page = ask(email, htmx=both_ways.is_htmx, status=422)

    assert page.errors["email"]
    assert outbox() == []


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_who_is_locked_is_read_anew(sessions, cast):
    """Else a reset that looked them up under the old address would send its link there."""
    with sessions() as session, transaction(session):
        found = find_user_by_email(session, cast.ada.email)
        with sessions() as other, transaction(other):
            get_user(other, cast.ada.user_id).email = NEW

        assert get_user(session, found.id).email == NEW
