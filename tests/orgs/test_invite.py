import pytest

from portal.accounts.models import User
from portal.core.actor import Actor
from portal.core.db import transaction
from portal.core.errors import NotFound
from portal.orgs import invitations
from portal.orgs.errors import IsInvited
from portal.orgs.models import Role

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
NEW = "/orgs/acme/invitations/new"
MEMBERS = "/orgs/acme/members"


def mails_to(outbox, address):
    return [mail for mail in outbox() if mail.to == address]


def test_an_owner_invites_somebody_by_mail(as_ada, both_ways, outbox, journal, settings):
    form = as_ada.get(NEW).form("invite").fill(email="Eve@Example.com", role="manager")

    page = form.submit(htmx=both_ways.is_htmx, redirect=MEMBERS)

    assert page.flash == "We have sent the invitation to Eve@example.com."
    row = page.table("Open invitations").row("Eve@example.com")
    assert row["Role"] == "manager"
    (mail,) = mails_to(outbox, "Eve@example.com")
    assert f"{settings.url}/invitations/" in mail.text
    (event,) = [event for event in journal() if event.tag == "org:invitation:sent"]
    assert event.told["email"] == "Eve@example.com"
    assert mail.text.split("/invitations/")[1].split()[0] not in str(event.told)


@on_sqlite
def test_a_forged_host_reaches_no_link(client, cast, outbox, settings):
    """The link is made of the portal's own address, whatever name the request came under."""
    client.application.config["WTF_CSRF_ENABLED"] = False
    cast.sign_in(client, cast.ada)
    data = {"email": "eve@example.com", "role": "viewer"}
    headers = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}

    refused = client.post("/orgs/acme/invitations", data=data, headers={"Host": "evil.example"})
    sent = client.post("/orgs/acme/invitations", data=data, headers=headers)

    assert (refused.status_code, sent.status_code) == (400, 303)
    (mail,) = mails_to(outbox, "eve@example.com")
    assert "evil" not in mail.text
    assert settings.url in mail.text


@on_sqlite
def test_inviting_is_not_there_for_outsiders_and_not_for_developers(visit, client, cast):
    for person, status in ((cast.dan, 404), (cast.ben, 403)):
        cast.sign_in(client, person)

        visit.get(NEW, status=status)
        # The answer to an outsider is 404 whatever the form held.
        client.application.config["WTF_CSRF_ENABLED"] = False
        visit.post("/orgs/acme/invitations", data={"email": "nonsense"}, status=status)


@on_sqlite
@pytest.mark.parametrize(
    ("email", "error"),
    [
        ("nobody", "Enter an e-mail address"),
        ("ben@example.com", "a member already"),
        ("EVE@example.com", "has an open invitation"),
    ],
)
def test_an_address_that_cannot_be_invited_is_refused(
    as_ada, both_ways, invited, outbox, email, error
):
    invited("eve@example.com")
    before = len(outbox())

    form = as_ada.get(NEW).form("invite").fill(email=email, role="viewer")
    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert error in page.errors["email"]
    assert len(outbox()) == before


@on_sqlite
def test_a_manager_invites_no_owner(visit, client, cast, member):
    member(cast.ben, Role.MANAGER)
    cast.sign_in(client, cast.ben)

    form = visit.get(NEW).form("invite").fill(email="eve@example.com", role="owner")

    assert form.submit(status=422).errors["role"]


@on_sqlite
def test_whoever_has_not_proved_an_address_invites_nobody(as_ada, cast, sessions):
    """Else anybody could sign up under any address, and have us write to strangers."""
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).email_confirmed_at = None

    form = as_ada.get(NEW).form("invite").fill(email="eve@example.com", role="viewer")

    assert "Confirm your e-mail address" in form.submit(status=422).errors["email"]


@on_sqlite
def test_inviting_asks_again_who_it_is(as_ada, clock, cast, outbox):
    clock.advance(minutes=16)
    form = as_ada.get(NEW).form("invite").fill(email="eve@example.com", role="viewer")

    form.submit(status=422)
    assert not mails_to(outbox, "eve@example.com")

    form.fill(proof_password=cast.ada.password).submit(redirect=MEMBERS)
    assert mails_to(outbox, "eve@example.com")


@on_sqlite
def test_one_mailbox_is_not_flooded(as_ada, invited, sessions, cast):
    for _ in range(5):
        form = as_ada.get(NEW).form("invite").fill(email="eve@example.com", role="viewer")
        page = form.submit(redirect=MEMBERS)
        page.visit.get(page.link("Revoke")).form("question").submit(redirect=MEMBERS)

    form = as_ada.get(NEW).form("invite").fill(email="eve@example.com", role="viewer")
    form.submit(status=429)


@on_sqlite
def test_after_its_time_an_address_can_be_invited_anew(invited, clock):
    first, _ = invited("eve@example.com")
    clock.advance(days=7)

    second, _ = invited("eve@example.com")

    assert first != second


def test_the_database_keeps_two_open_invitations_of_one_address_apart(invited, monkeypatch):
    """Where the look found none and the index did, the second is told so."""
    monkeypatch.setattr(invitations, "find_open_invitation", lambda *_: None)
    invited("eve@example.com")

    with pytest.raises(IsInvited):
        invited("Eve@example.com")


def test_resending_ends_the_link_before(as_ada, both_ways, invited, outbox, clock, client):
    invitation, token = invited("eve@example.com")
    clock.advance(days=8)
    client.application.config["WTF_CSRF_ENABLED"] = False
    form = as_ada.get(f"/orgs/acme/invitations/{invitation}/resend").form("question")
    page = form.fill(proof_password="correct horse battery").submit(
        htmx=both_ways.is_htmx, redirect=MEMBERS
    )

    assert "ended" not in page.table("Open invitations").row("eve@example.com")["Ends"]
    newest, _ = mails_to(outbox, "eve@example.com")
    as_ada.post("/logout", redirect="/login")
    as_ada.get(f"/invitations/{token}", status=410)
    as_ada.get("/invitations/" + newest.text.split("/invitations/")[1].split()[0])


def test_a_revoked_invitation_opens_nothing(as_ada, both_ways, invited, visit, journal):
    invitation, token = invited("eve@example.com")
    form = as_ada.get(f"/orgs/acme/invitations/{invitation}/revoke").form("question")

    page = form.submit(htmx=both_ways.is_htmx, redirect=MEMBERS)

    assert "Open invitations" not in page.text
    visit.get(f"/invitations/{token}", status=410)
    # A second time changes nothing; sending it again would.
    form.submit(redirect=MEMBERS)
    assert [event.tag for event in journal()].count("org:invitation:revoked") == 1
    as_ada.get(f"/orgs/acme/invitations/{invitation}/resend").form("question").submit(status=422)


@on_sqlite
@pytest.mark.parametrize("act", ["resend", "revoke"])
def test_an_invitation_is_its_organisations_own(visit, client, cast, invited, sessions, act):
    invitation, _ = invited("eve@example.com")
    for person, org, status in (
        (cast.dan, "acme", 404),
        (cast.dan, "delta", 404),
        (cast.ben, "acme", 403),
    ):
        cast.sign_in(client, person)

        visit.get(f"/orgs/{org}/invitations/{invitation}/{act}", status=status)


@on_sqlite
def test_a_manager_does_not_touch_an_owners_invitation(visit, client, cast, invited, member):
    invitation, _ = invited("eve@example.com", role=Role.OWNER)
    member(cast.ben, Role.MANAGER)
    cast.sign_in(client, cast.ben)

    for act in ("resend", "revoke"):
        visit.get(f"/orgs/acme/invitations/{invitation}/{act}", status=403)


@on_sqlite
def test_an_actor_who_is_nobody_invites_nobody(invited, cast):
    with pytest.raises(NotFound):
        invited(actor=Actor(user_id="usr_x", name="x"))
