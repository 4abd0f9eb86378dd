import pytest

from portal.web.throttle import RATES

pytestmark = pytest.mark.usefixtures("catalog", "clock")


@pytest.fixture
def unconfirmed(sign_up, visit):
    """Eve has signed up and signed in, but not confirmed."""
    sign_up()
    form = visit.get("/login").form("sign-in")
    form.fill(email="eve@example.com", password="a long enough one").submit(redirect="/")
    return visit


def test_who_is_not_confirmed_is_told_so_and_gets_a_new_link(unconfirmed, newest_link, outbox):
    home = unconfirmed.get("/")
    assert "Your address is not confirmed yet" in home.text

    page = home.form("Confirmation").submit(redirect="/")

    assert "eve@example.com" in page.flash
    assert len(outbox()) == 2
    unconfirmed.get(newest_link(), redirect="/")
    assert "not confirmed" not in unconfirmed.get("/").text


def test_a_confirmed_address_gets_no_link(unconfirmed, newest_link, outbox):
    form = unconfirmed.get("/").form("Confirmation")
    unconfirmed.get(newest_link(), redirect="/")
    form.values["csrf_token"] = unconfirmed.get("/").form("Sign out").values["csrf_token"]

    page = form.submit(status=409)

    assert "confirmed already" in page.text
    assert len(outbox()) == 1


def test_the_journal_says_who_asked(unconfirmed, journal, person):
    unconfirmed.get("/").form("Confirmation").submit(redirect="/")

    (event,) = [event for event in journal() if event.tag == "user:confirmation:sent"]

    assert event.actor_id == person("eve@example.com").id


def test_a_mailbox_is_not_flooded(unconfirmed, outbox):
    form = unconfirmed.get("/").form("Confirmation")
    # The sign-up's own mail was the first.
    for _ in range(RATES["mail_link"].times - 1):
        form.submit(redirect="/")

    page = form.submit(status=429)

    assert int(page.headers["Retry-After"]) > 0
    assert len(outbox()) == RATES["mail_link"].times


def test_a_stranger_is_sent_to_sign_in(client, visit):
    token = visit.get("/login").form("sign-in").values["csrf_token"][0]

    answer = client.post("/account/confirmation", data={"csrf_token": token})

    assert answer.headers["Location"] == "/login"
