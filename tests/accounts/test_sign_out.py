import pytest

pytestmark = pytest.mark.usefixtures("clock")


def test_signing_out_ends_the_session_and_its_row(visit, client, cast, app, journal):
    cast.sign_in(client, cast.ada)
    cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
    copied = app.test_client()
    copied.set_cookie(cookie.key, cookie.value)

    page = visit.get("/").form("Sign out").submit(redirect="/login")

    assert page.flash == "You are signed out."
    assert copied.get("/orgs/acme").status_code == 303
    assert "user:session:ended" in [event.tag for event in journal()]


def test_the_address_of_signing_out_asks_first(visit, client, cast):
    cast.sign_in(client, cast.ada)

    form = visit.get("/logout").form("Sign out of this browser")

    form.submit(redirect="/login")


def test_signing_out_without_a_token_changes_nothing(client, cast):
    cast.sign_in(client, cast.ada)

    assert client.post("/logout").status_code == 400
    assert client.get("/orgs/acme").status_code == 200


def test_nobody_can_sign_out_twice(client, visit):
    token = visit.get("/login").form("sign-in").values["csrf_token"][0]

    assert client.post("/logout", data={"csrf_token": token}).headers["Location"] == "/login"
