"""The end of an account: nothing that names the person is left, and the journal holds as before."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import String, select, text
from sqlalchemy import cast as as_type

from portal.accounts import address
from portal.accounts.jobs import forget_farewells
from portal.accounts.models import User
from portal.accounts.queries import get_user
from portal.core.db import Base, transaction
from portal.core.outbox import Mail, forget_mails
from portal.journal.models import Event
from portal.keys.models import ApiKey
from portal.orgs import invitations
from portal.orgs.models import Invitation, Membership, Org, Role
from tests.support.authenticator import give_authenticator
from tests.support.factories import (
    add_member,
    make_invitation,
    make_key,
    make_org,
    make_user,
)

ASK = "/account/delete"


@pytest.fixture
def as_ben(clock, visit, client, cast):
    cast.sign_in(client, cast.ben)
    return visit


def everything(sessions) -> str:
    """Every value of every row, as text; without what counts tries, which is gone in an hour by itself."""
    with sessions() as session:
        return "\n".join(
            str(tuple(row))
            for table in Base.metadata.sorted_tables
            if table.name != "throttles"
            for row in session.execute(select(*(as_type(each, String) for each in table.columns)))
        )


def test_an_account_is_deleted_and_leaves_a_tombstone(
    as_ben, client, app, cast, sessions, both_ways, outbox, clock
):
    give_authenticator(sessions, cast.ben)
    cast.sign_in(client, cast.ben)
    form = as_ben.get("/forgot-password").form("forgot-password").fill(email=cast.ben.email)
    form.submit(redirect="/forgot-password/mail")
    as_ben.get("/account/email").form("new-address").fill(email="ben@example.net").submit(
        redirect="/account/email"
    )

    page = as_ben.get(ASK).form("delete-account").submit(htmx=both_ways.is_htmx, redirect="/")

    assert page.flash == "Your account is deleted. Our last mail says so, too."
    assert not as_ben.is_signed_in
    farewell = next(mail for mail in outbox() if mail.to == cast.ben.email)
    assert farewell.subject == "Your account is deleted"
    with sessions() as session:
        user = session.get_one(User, cast.ben.user_id)
        assert (user.email, user.password_hash) == (f"deleted account {user.id}", None)
        assert user.deleted_at
        assert session.scalars(select(Membership).where(Membership.user_id == user.id)).all() == []
        with transaction(session):
            session.get_one(Mail, farewell.id).sent_at = clock()
    forget_farewells(sessions)
    assert "ben@" not in everything(sessions)
    assert app.test_cli_runner().invoke(args=["journal", "check"]).exit_code == 0


def test_the_journal_keeps_the_id_and_no_network_address(as_ben, cast, sessions, client):
    as_ben.get(ASK).form("delete-account").submit(redirect="/")

    with sessions() as session:
        rows = session.scalars(select(Event).where(Event.actor_id == cast.ben.user_id)).all()
        assert {(row.actor_name, row.ip) for row in rows} == {("", None)}
        assert "org:member:left" in {row.tag for row in rows}
    cast.sign_in(client, cast.ada)
    page = as_ben.get("/orgs/acme/journal")
    assert f"a deleted account ({cast.ben.user_id})" in page.text


def test_the_last_owner_hands_over_first(visit, client, cast, sessions, both_ways, app):
    cast.sign_in(client, cast.ada)
    page = visit.get(ASK)
    assert page.link("Members of Acme") == "/orgs/acme/members"
    assert not page.main.select("form")
    token = page.soup.select_one("[name=csrf_token]")["value"]
    headers = {"HX-Request": "true"} if both_ways.is_htmx else {}

    answer = client.post(ASK, data={"csrf_token": token}, headers=headers)

    assert answer.status_code == 422
    assert visit.is_signed_in
    with sessions() as session:
        assert session.get_one(User, cast.ada.user_id).email == cast.ada.email


def test_an_organisation_of_one_is_closed_with_its_keys_revoked(visit, client, cast, sessions):
    with sessions() as session, transaction(session):
        delta = session.get_one(Org, cast.delta.id)
        make_key(session, org=delta, actor=cast.dan.actor)
        make_invitation(session, org=delta)
    cast.sign_in(client, cast.dan)
    page = visit.get(ASK)
    assert "Delta, 1 key" in page.text

    page.form("delete-account").submit(redirect="/")

    with sessions() as session:
        (key,) = session.scalars(select(ApiKey).where(ApiKey.org_id == cast.delta.id))
        assert key.revoked_at
        tags = set(session.scalars(select(Event.tag).where(Event.org_id == cast.delta.id)))
        assert {"org:closed", "org:key:revoked", "org:invitation:revoked"} <= tags


def test_whoever_is_one_of_two_owners_may_go(visit, client, cast, sessions):
    with sessions() as session, transaction(session):
        acme = session.get_one(Org, cast.acme.id)
        add_member(session, org=acme, user=session.get_one(User, cast.dan.user_id), role=Role.OWNER)
    cast.sign_in(client, cast.ada)

    visit.get(ASK).form("delete-account").submit(redirect="/")

    with sessions() as session:
        owners = session.scalars(select(Membership.user_id).where(Membership.role == Role.OWNER))
        assert cast.ada.user_id not in set(owners)


def test_a_borrowed_screen_does_not_do(clock, visit, client, cast, sessions, both_ways):
    cast.sign_in(client, cast.ben)
    clock.advance(minutes=15)
    form = visit.get(ASK).form("delete-account").fill(proof_password="a wrong one")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["proof_password"]
    with sessions() as session:
        assert session.get_one(User, cast.ben.user_id).deleted_at is None


def test_the_address_is_free_again(as_ben, cast, sessions):
    as_ben.get(ASK).form("delete-account").submit(redirect="/")

    form = as_ben.get("/signup").form("sign-up")
    form.fill({"email": cast.ben.email, "password": "a long enough one", "organisation": "B"})
    form.submit(redirect="/signup/mail")

    with sessions() as session:
        user = session.scalars(select(User).where(User.email == cast.ben.email)).one()
        assert user.id != cast.ben.user_id


def token_to(session, email, kind):
    """The token of the newest link of a kind that was mailed to an address."""
    found = select(Mail.text).where(Mail.to == email, Mail.text.contains(f"/{kind}/"))
    text = session.scalars(found.order_by(Mail.id.desc())).first()
    return text.partition(f"/{kind}/")[2].split()[0]


def change_address(sessions, person, email):
    with sessions() as session, transaction(session):
        user = get_user(session, person.user_id)
        address.start_change(session, actor=person.actor, user=user, email=email, url="http://x")
    for mailbox in (person.email, email):
        with sessions() as session, transaction(session):
            token = token_to(session, mailbox, "email-change")
            address.confirm_side(session, actor=person.actor, token=token)
    return type(person)(person.user_id, email, is_admin=person.is_admin)


@pytest.fixture
def widely_known(cast, sessions, clock):
    """Ben under an address that came later: invited thrice under the one before, and named in letters.

    Returns him, and the invitation that nobody has answered.
    """
    with sessions() as session, transaction(session):
        ben, one, own = (
            session.get_one(User, cast.ben.user_id),
            make_org(session),
            make_org(session),
        )
        add_member(session, org=own, user=ben, role=Role.OWNER)
        delta = session.get_one(Org, cast.delta.id)
        _, token = make_invitation(session, org=delta, email=ben.email)
        ended, _ = make_invitation(session, org=one, email=ben.email)
        session.get_one(Invitation, ended).revoked_at = clock()
        session.flush()  # of two open ones the index would refuse the second
        waiting, _ = make_invitation(session, org=one, email=ben.email)
        invitations.accept(session, actor=cast.ben.actor, token=token)
    now = change_address(sessions, cast.ben, "ben@example.net")
    with sessions() as session, transaction(session):
        own = session.get_one(Org, own.id)
        make_invitation(session, org=own, actor=now.actor, email="reuben@example.net")
    return now, waiting


def test_no_address_of_before_is_left_nor_what_others_were_told_or_asked_of_it(
    client, visit, app, cast, sessions, widely_known
):
    ben, waiting = widely_known
    cast.sign_in(client, ben)

    visit.get(ASK).form("delete-account").submit(redirect="/")

    with sessions() as session, transaction(session):
        # The farewell itself, which goes as soon as it is sent.
        forget_mails(session, person=ben.user_id, addresses={ben.email}, words="gone")
        assert session.get_one(Invitation, waiting).revoked_at is not None
        letter = session.scalars(select(Mail).where(Mail.to == "reuben@example.net")).one()
        assert letter.text.startswith(f"deleted account {ben.user_id} invites you")
    left = everything(sessions)
    assert "reuben@example.net" in left
    assert "ben@" not in left.replace("reuben@example.net", "")
    assert app.test_cli_runner().invoke(args=["journal", "check"]).exit_code == 0


def test_who_never_proved_an_address_erases_nothing_about_it(client, visit, cast, sessions, clock):
    """Else anybody could sign up under a stranger's address, or the end of one, to blot it out elsewhere."""
    with sessions() as session, transaction(session):
        acme = session.get_one(Org, cast.acme.id)
        make_invitation(session, org=acme, email="eve@example.com")
        make_invitation(session, org=acme, email="steve@example.com")
        eve = make_user(session, email="eve@example.com", confirmed=False)
    person = type(cast.ada)(eve.id, "eve@example.com", is_admin=False)
    cast.sign_in(client, person)

    visit.get(ASK).form("delete-account").submit(redirect="/")

    invited = {"eve@example.com", "steve@example.com"}
    with sessions() as session:
        asked = select(Event).where(Event.tag == "org:invitation:sent")
        assert {row.told.get("email") for row in session.scalars(asked)} == invited
        assert invited <= set(session.scalars(select(Mail.to)))


def test_an_address_that_ends_like_theirs_is_somebody_elses(client, visit, cast, sessions, clock):
    with sessions() as session, transaction(session):
        acme = session.get_one(Org, cast.acme.id)
        make_invitation(session, org=acme, email="reuben@example.com")
    cast.sign_in(client, cast.ben)

    visit.get(ASK).form("delete-account").submit(redirect="/")

    with sessions() as session:
        (row,) = session.scalars(select(Event).where(Event.tag == "org:invitation:sent"))
        assert row.told["email"] == "reuben@example.com"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_who_joins_an_organisation_meanwhile_is_asked_again(as_ben, cast, sessions):
    """Else a deleted account would be a member, or the only owner, of an organisation that nobody left."""
    form = as_ben.get(ASK).form("delete-account")
    with ThreadPoolExecutor(1) as pool:
        with sessions() as session, transaction(session):
            ben = get_user(session, cast.ben.user_id)  # as whoever accepts an invitation does
            answer = pool.submit(form.submit, status=422)
            _wait_for_a_lock(sessions)
            delta = session.get_one(Org, cast.delta.id)
            add_member(session, org=delta, user=ben, role=Role.OWNER)
        page = answer.result()

    assert "You joined an organisation meanwhile" in page.text
    form.submit(redirect="/")
    with sessions() as session:
        mine = select(Membership).where(Membership.user_id == cast.ben.user_id)
        assert session.scalars(mine).all() == []


def _wait_for_a_lock(sessions):
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    for _ in range(200):
        with sessions() as session:
            if session.scalar(waiting):
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")
