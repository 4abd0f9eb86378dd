"""Where a person is signed in: seen, ended, and told of when it is new."""

import pytest

from portal.accounts.devices import describe
from portal.accounts.jobs import forget_addresses
from portal.accounts.models import UserSession

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/19.0 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
)


@pytest.fixture
def elsewhere(app, cast):
    """Ada is signed in with another browser, too."""
    client = app.test_client()
    cast.sign_in(client, cast.ada)
    return client


def test_sessions_are_listed_with_browser_address_and_last_sight(as_ada, elsewhere):
    page = as_ada.get("/account/sessions")

    rows = page.table("Your sessions").rows
    assert len(rows) == 2
    assert rows[0]["Browser"].endswith("this one")
    assert {row["From"] for row in rows} == {"127.0.0.1"}


def test_another_session_is_ended(as_ada, elsewhere, both_ways, tags):
    form = as_ada.get("/account/sessions").form("End")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/account/sessions")

    assert "that browser is signed out" in page.flash
    assert elsewhere.get("/account").status_code == 303
    assert as_ada.is_signed_in
    assert tags()[-1] == "user:session:ended"


def test_all_others_are_ended(as_ada, elsewhere, both_ways):
    form = as_ada.get("/account/sessions").form("End all others")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/account/sessions")

    assert page.flash == "1 session is ended. You are signed in only here."
    assert elsewhere.get("/account").status_code == 303


def test_nobody_ends_a_strangers_session(visit, client, cast, elsewhere, app, sessions):
    with sessions() as session:
        row = session.query(UserSession).filter_by(user_id=cast.ada.user_id).one()
    cast.sign_in(client, cast.ben)
    app.config["WTF_CSRF_ENABLED"] = False

    visit.post(f"/account/sessions/{row.id}/end", status=404)

    assert elsewhere.get("/account").status_code == 200


def test_a_browser_is_noted_where_it_is_now_but_not_at_each_page(clock, as_ada, client, sessions):
    def seen():
        with sessions() as session:
            row = session.query(UserSession).filter_by(ended_at=None).one()
            return row.seen_at, row.ip

    first = seen()
    clock.advance(minutes=4)
    client.get("/account")
    assert seen() == first

    clock.advance(minutes=1)
    client.get("/account", environ_base={"REMOTE_ADDR": "203.0.113.9"})

    assert seen() == (clock(), "203.0.113.9")


def test_addresses_of_sessions_are_kept_for_ninety_days(clock, as_ada, sessions):
    clock.advance(days=89)
    assert forget_addresses(sessions) == 0
    clock.advance(days=1)

    assert forget_addresses(sessions) == 1
    assert forget_addresses(sessions) == 0


def sign_in(client, visit, person, agent=FIREFOX):
    page = visit.get("/login")
    token = page.soup.select_one("[name=csrf_token]")["value"]
    data = {"csrf_token": token, "email": person.email, "password": person.password}
    answer = client.post("/login", data=data, headers={"User-Agent": agent})
    assert answer.status_code == 303


def sign_out(visit):
    visit.get("/logout").form("Sign out").submit(redirect="/login")


def test_a_browser_that_was_not_here_before_is_told_of_by_mail(
    app, client, visit, cast, outbox, clock
):
    from tests.support.visit import Visit

    sign_in(client, visit, cast.ada)
    sign_out(visit)
    sign_in(client, visit, cast.ada, agent=IPHONE)
    assert outbox() == []  # the very first, and the same again
    other = app.test_client()

    sign_in(other, Visit(other), cast.ada)

    (mail,) = outbox()
    assert (mail.to, mail.subject) == (cast.ada.email, "A new sign-in to your account")
    assert "Firefox on Linux\nfrom 127.0.0.1\n" in mail.text


def test_two_people_at_one_browser_are_told_once_each(client, visit, app, cast, outbox):
    from tests.support.visit import Visit

    for person in (cast.ada, cast.ben):
        first = app.test_client()
        sign_in(first, Visit(first), person)

    for person in (cast.ada, cast.ben, cast.ada, cast.ben):
        sign_in(client, visit, person)
        sign_out(visit)

    assert sorted(mail.to for mail in outbox()) == [cast.ada.email, cast.ben.email]


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iOS"),
        (EDGE, "Edge on Windows"),
        ("curl/8.5.0", "curl"),
        ("", "An unknown browser"),
        ("<script>alert(1)</script>", "An unknown browser"),
    ],
)
def test_a_browser_is_called_as_people_know_it(agent, said):
    assert describe(agent) == said
