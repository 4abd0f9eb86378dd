"""Whoever plants a cookie in somebody's browser must not share what it becomes."""

from dataclasses import replace

import pytest

from portal.config import Env
from portal.factory import create_app
from tests.support.visit import Visit


def cookie_of(client):
    return client.get_cookie(client.application.config["SESSION_COOKIE_NAME"])


def plant(client, cookie) -> None:
    client.set_cookie(cookie.key, cookie.value)


def sign_in(client, person, **answer):
    form = Visit(client).get("/login").form("sign-in")
    return form.fill(email=person.email, password=person.password).submit(**answer)


def test_a_planted_cookie_does_not_become_the_signed_in_one(app, client, cast):
    thief = app.test_client()
    Visit(thief).get("/login")
    planted = cookie_of(thief)
    plant(client, planted)

    sign_in(client, cast.ada, redirect="/")

    assert cookie_of(client).value != planted.value
    assert thief.get("/account").location.startswith("/login")


def test_a_planted_session_ends_where_somebody_else_signs_in(app, client, cast, sessions):
    thief = app.test_client()
    cast.sign_in(thief, cast.dan)
    plant(client, cookie_of(thief))

    Visit(client).get("/logout").form("Sign out").submit(redirect="/login")
    sign_in(client, cast.ada, redirect="/")

    assert cast.ada.email in Visit(client).get("/account").text
    assert thief.get("/account").location.startswith("/login")


def test_each_sign_in_has_a_session_and_form_tokens_of_its_own(app, client, cast):
    page = Visit(client).get("/login")
    before = page.soup.select_one("[name=csrf_token]")["value"]
    sign_in(client, cast.ada, redirect="/")

    answer = client.post("/logout", data={"csrf_token": before})

    assert answer.status_code == 400
    assert client.get("/account").status_code == 200


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_in_production_no_neighbour_can_plant_a_cookie(settings, sessions, cast):
    """Browsers take a cookie with this beginning only from the very host, over TLS."""
    url = "https://portal.example"
    app = create_app(replace(settings, env=Env.PRODUCTION, url=url), sessions=sessions)
    app.config["WTF_CSRF_ENABLED"] = False
    form = {"email": cast.ada.email, "password": cast.ada.password}

    answer = app.test_client().post("/login", data=form, base_url=url)

    cookies = answer.headers.getlist("Set-Cookie")
    assert {each.partition("=")[0] for each in cookies} == {
        "__Host-plimsoll",
        "__Host-plimsoll_device",
    }
    for each in cookies:
        parts = set(each.split("; "))
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= parts
        assert not any(part.startswith("Domain") for part in parts)
