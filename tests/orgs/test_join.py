from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from portal.accounts.models import User
from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.orgs import invitations
from portal.orgs.models import Membership, Role
from tests.support.factories import make_user

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
PASSWORD = "a few words that will do"


@pytest.fixture
def eve(sessions):
    """Somebody with an account, and a member of nothing."""

    def eve(*, confirmed=True, email="eve@example.com"):
        with sessions() as session, transaction(session):
            user = make_user(session, email=email, confirmed=confirmed)
            return user.id

    return eve


def test_whoever_has_no_account_gets_one_on_the_way(
    visit, both_ways, invited, roles, sessions, outbox, cast
):
    _, token = invited("eve@example.com", role=Role.MANAGER)
    form = visit.get(f"/invitations/{token}").form("join").fill(password=PASSWORD)

    page = form.submit(htmx=both_ways.is_htmx, redirect="/orgs/acme")

    assert page.flash == "You are a member of Acme now: manager."
    with sessions() as session:
        user = session.scalars(select(User).where(User.email == "eve@example.com")).one()
    assert user.email_confirmed_at is not None
    assert roles()[user.id] == "manager"
    assert [mail.to for mail in outbox() if "new member" in mail.subject] == [cast.ada.email]


def test_whoever_is_signed_in_joins_with_a_click(visit, both_ways, client, cast, invited, roles):
    _, token = invited(cast.dan.email)
    cast.sign_in(client, cast.dan)

    page = (
        visit.get(f"/invitations/{token}")
        .form("join")
        .submit(htmx=both_ways.is_htmx, redirect="/orgs/acme")
    )

    assert roles()[cast.dan.user_id] == "developer"
    assert page.all(".switcher li") == ["Acme", "Delta", "Create an organisation"]


@on_sqlite
def test_whoever_is_signed_out_and_has_an_account_is_led_to_sign_in(visit, cast, invited):
    _, token = invited(cast.dan.email)

    page = visit.get(f"/invitations/{token}")
    form = visit.get(page.link("Sign in to join")).form("sign-in")
    form.fill(email=cast.dan.email, password=cast.dan.password)
    page = form.submit(redirect=f"/invitations/{token}")

    page.form("join").submit(redirect="/orgs/acme")


def test_an_invitation_works_once(visit, client, cast, invited):
    _, token = invited(cast.dan.email)
    cast.sign_in(client, cast.dan)
    form = visit.get(f"/invitations/{token}").form("join")
    form.submit(redirect="/orgs/acme")

    assert form.submit(status=410).h1 == "This link is no longer valid"
    visit.get(f"/invitations/{token}", status=410)


@on_sqlite
def test_a_replayed_invitation_does_not_bring_back_who_was_removed(
    visit, client, cast, invited, roles, sessions
):
    """The link lies in the mailbox for ever; what it gave was given once."""
    _, token = invited(cast.dan.email)
    cast.sign_in(client, cast.dan)
    form = visit.get(f"/invitations/{token}").form("join")
    form.submit(redirect="/orgs/acme")
    with sessions() as session, transaction(session):
        session.delete(session.get_one(Membership, (cast.acme.id, cast.dan.user_id)))

    form.submit(status=410)

    assert cast.dan.user_id not in roles()


@on_sqlite
def test_an_invitation_ends_after_seven_days(visit, invited, clock):
    _, token = invited("eve@example.com")
    form = visit.get(f"/invitations/{token}").form("join").fill(password=PASSWORD)
    clock.advance(days=7)

    form.submit(status=410)


def test_an_invitation_belongs_to_the_address_it_was_sent_to(visit, client, cast, invited, roles):
    """Forwarded, or read over a shoulder, it makes nobody else a member."""
    _, token = invited("eve@example.com")
    cast.sign_in(client, cast.dan)

    page = visit.get(f"/invitations/{token}", status=403)

    assert "sent to another address" in page.text
    client.application.config["WTF_CSRF_ENABLED"] = False
    visit.post(f"/invitations/{token}/accept", status=403)
    assert cast.dan.user_id not in roles()


def test_a_stranger_who_was_here_first_under_the_address_keeps_nothing(
    visit, client, app, cast, invited, eve, roles
):
    """Somebody signs up under an address that is not theirs, and waits. The invitation reaches the mailbox:
    whoever opens it there chooses the password, and the stranger's sessions end."""
    user_id = eve(confirmed=False)
    stranger = app.test_client()
    cast.sign_in(stranger, type(cast.ada)(user_id, "eve@example.com", is_admin=False))
    _, token = invited("eve@example.com")
    app.config["WTF_CSRF_ENABLED"] = False
    assert stranger.get("/account").status_code == 200
    assert stranger.post(f"/invitations/{token}/accept").status_code == 403

    visit.get(f"/invitations/{token}").form("join").fill(password=PASSWORD).submit(
        redirect="/orgs/acme"
    )

    assert stranger.get("/account").status_code == 303
    data = {"email": "eve@example.com", "password": cast.ada.password}
    assert stranger.post("/login", data=data).status_code == 422
    assert roles()[user_id] == "developer"


@on_sqlite
def test_the_way_without_an_account_is_closed_to_who_has_one(visit, client, cast, invited, roles):
    """Else the link would be a way round their password and their second factor."""
    _, token = invited(cast.dan.email)
    client.application.config["WTF_CSRF_ENABLED"] = False

    page = visit.post(f"/invitations/{token}/sign-up", data={"password": PASSWORD}, status=422)

    assert "You have an account" in page.text
    assert not visit.is_signed_in
    assert cast.dan.user_id not in roles()


@on_sqlite
def test_a_weak_password_makes_no_account(visit, both_ways, invited, sessions):
    _, token = invited("eve@example.com")
    form = visit.get(f"/invitations/{token}").form("join").fill(password="eve@example.com")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["password"] == "Use something else than your address."
    with sessions() as session:
        assert session.scalar(select(User.id).where(User.email == "eve@example.com")) is None


@on_sqlite
def test_whoever_became_a_member_meanwhile_is_told(visit, client, cast, invited, member, roles):
    _, token = invited(cast.dan.email)
    member(cast.dan, Role.VIEWER)
    cast.sign_in(client, cast.dan)

    page = visit.get(f"/invitations/{token}").form("join").submit(status=422)

    assert "a member already" in page.text
    assert roles()[cast.dan.user_id] == "viewer"


@on_sqlite
def test_a_token_that_never_was_opens_nothing(visit):
    assert visit.get("/invitations/x", status=410).h1 == "This link is no longer valid"


def test_accepted_by_two_at_once_it_makes_one_member(sessions, cast, invited, roles):
    _, token = invited("eve@example.com")

    def join(number):
        try:
            with sessions() as session, transaction(session):
                invitations.accept_as_newcomer(
                    session, actor=cast.dan.actor, token=token, password_hash=str(number)
                )
        except PortalError as error:
            return error.code
        return "joined"

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(join, range(4)))

    assert answers == ["invitation_over"] * 3 + ["joined"]
    assert len(roles()) == 4
