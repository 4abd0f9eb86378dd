import pytest

from portal.accounts.passwords import is_right
from portal.accounts.policy import LINK_LASTS, LinkPurpose

pytestmark = pytest.mark.usefixtures("catalog", "clock")

USED = "This link was used already, or its time is over."


def test_the_link_confirms_the_address_and_signs_in_the_browser_that_asked(
    sign_up, visit, newest_link, person, clock
):
    sign_up()
    clock.advance(minutes=5)

    page = visit.get(newest_link(), redirect="/")

    assert page.h1 == "Eve & Co"
    assert page.flash == "Your address is confirmed."
    assert person("eve@example.com").email_confirmed_at == clock.at


def test_another_browser_only_confirms(sign_up, app, newest_link, person):
    """Nobody can be signed in to an account of somebody else's making."""
    sign_up()
    other = app.test_client()

    answer = other.get(newest_link())

    assert answer.headers["Location"] == "/login"
    assert person("eve@example.com").email_confirmed_at
    assert other.get("/orgs/eve-co").headers["Location"].startswith("/login")


def test_a_used_link_is_gone(sign_up, visit, newest_link):
    sign_up()
    link = newest_link()
    visit.get(link, redirect="/")

    page = visit.get(link, status=410)

    assert USED in page.text


def test_a_link_ends_with_its_time(sign_up, visit, newest_link, person, clock):
    sign_up()
    clock.advance(seconds=LINK_LASTS[LinkPurpose.CONFIRM_EMAIL].total_seconds())

    visit.get(newest_link(), status=410)

    assert person("eve@example.com").email_confirmed_at is None


def test_a_link_works_until_the_last_second(sign_up, visit, newest_link, clock):
    sign_up()
    clock.advance(seconds=LINK_LASTS[LinkPurpose.CONFIRM_EMAIL].total_seconds() - 1)

    visit.get(newest_link(), redirect="/")


@pytest.mark.parametrize("token", ["x", "a" * 43, "%F0%9F%98%80"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_made_up_link_is_gone(visit, token):
    visit.get(f"/confirm/{token}", status=410)


def test_a_program_that_only_looks_uses_nothing_up(sign_up, client, visit, newest_link):
    sign_up()

    client.head(newest_link())

    visit.get(newest_link(), redirect="/")


def test_the_journal_says_that_the_address_was_confirmed(
    sign_up, visit, newest_link, journal, person
):
    sign_up()
    visit.get(newest_link(), redirect="/")

    (event,) = [event for event in journal() if event.tag == "user:email:confirmed"]

    assert event.subject_id == event.actor_id == person("eve@example.com").id


def test_who_holds_the_mailbox_keeps_the_account(sign_up, app, newest_link, person, client, visit):
    """A stranger signs up first with somebody's address. The owner's later sign-up and confirmation
    must leave the stranger with neither password nor session."""
    sign_up(password="the stranger's own")
    stranger = app.test_client()
    client.delete_cookie(app.config["SESSION_COOKIE_NAME"])
    sign_up(password="the owner's own words")

    visit.get(newest_link(), redirect="/")

    stored = person("eve@example.com").password_hash
    assert is_right(stored, "the owner's own words")
    assert not is_right(stored, "the stranger's own")
    assert stranger.get("/orgs/eve-co").status_code == 303


@pytest.mark.parametrize("stranger_first", [True, False])
def test_a_strangers_mail_taken_for_ones_own_confirms_nothing(
    sign_up, app, newest_link, person, client, visit, stranger_first
):
    """Both mails read the same. Opened by the owner, the stranger's would confirm the stranger's password."""
    passwords = ["the stranger's own", "the owner's own words"]
    links = []
    for password in passwords if stranger_first else reversed(passwords):
        client.delete_cookie(app.config["SESSION_COOKIE_NAME"])
        sign_up(password=password)
        links.append(newest_link())
    theirs = links[0 if stranger_first else 1]

    owner = client if stranger_first else app.test_client()
    answer = owner.get(theirs)

    assert answer.status_code == 409
    assert "in the browser in which you signed up" in answer.text
    assert person("eve@example.com").email_confirmed_at is None


def test_a_confirmed_account_takes_no_password_from_an_older_link(
    sign_up, visit, newest_link, person
):
    sign_up(password="the owner's own words")
    first = newest_link()
    sign_up(password="a stranger's words")
    second = newest_link()

    visit.get(first, redirect="/")
    visit.get(second, redirect="/")

    assert is_right(person("eve@example.com").password_hash, "the owner's own words")
