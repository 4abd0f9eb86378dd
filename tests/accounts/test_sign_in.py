from statistics import median
from time import perf_counter

import pytest
from sqlalchemy import select

from portal.accounts.models import UserSession
from portal.accounts.passwords import hash_password
from portal.accounts.policy import SESSION_LASTS
from portal.core.db import transaction
from portal.web.throttle import RATES
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.usefixtures("cast", "clock")

WRONG = "The address or the password is not right."


@pytest.fixture
def sign_in(visit):
    def send(*, email="ada@example.com", password=PASSWORD, htmx=False, next_="", **expected):
        form = visit.get("/login", **({"next": next_} if next_ else {})).form("sign-in")
        return form.fill(email=email, password=password).submit(htmx=htmx, **expected)

    return send


def test_a_person_signs_in(sign_in, both_ways):
    page = sign_in(htmx=both_ways.is_htmx, redirect="/")

    assert page.h1 == "Acme"
    assert "ada@example.com" in page.soup.header.get_text()


def test_the_case_of_an_address_does_not_matter(sign_in):
    sign_in(email="Ada@Example.COM", redirect="/")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_address_with_any_letters_leads_on_by_headers_that_can_be_sent(client, visit):
    token = visit.get("/login").form("sign-in").values["csrf_token"][0]
    data = {"csrf_token": token, "email": "ada@example.com", "password": PASSWORD}

    answer = client.post(
        "/login", data=data | {"next": "/orgs/ž?q=日本"}, headers={"HX-Request": "true"}
    )

    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/orgs/%C5%BE?q=%E6%97%A5%E6%9C%AC"


def test_a_wrong_password_and_an_unknown_address_read_the_same(sign_in, both_ways):
    wrong = sign_in(password="not this one", htmx=both_ways.is_htmx, status=422)
    unknown = sign_in(email="nobody@example.com", htmx=both_ways.is_htmx, status=422)

    assert WRONG in wrong.text
    assert wrong.text == unknown.text


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_wrong_password_and_an_unknown_address_take_the_same_time(
    client, visit, clock, full_hashing, sessions, person
):
    """Measured over the whole request. Without the hash for nobody it is a tenth."""
    with sessions() as session, transaction(session):
        session.merge(person("ada@example.com")).password_hash = hash_password(PASSWORD)
    token = visit.get("/login").form("sign-in").values["csrf_token"][0]
    took = {"ada@example.com": [], "nobody@example.com": []}

    for _ in range(5):
        for email, times in took.items():
            began = perf_counter()
            data = {"csrf_token": token, "email": email, "password": "not this one"}
            assert client.post("/login", data=data).status_code == 422
            times.append(perf_counter() - began)

    known, unknown = (median(times) for times in took.values())
    assert 0.5 < unknown / known < 2


def test_a_person_without_a_password_cannot_sign_in(sign_in, sessions, cast, person):
    with sessions() as session, transaction(session):
        session.merge(person(cast.ben.email)).password_hash = None

    assert WRONG in sign_in(email=cast.ben.email, status=422).text


def test_only_a_digest_of_the_session_is_stored(sign_in, client, app, sessions):
    sign_in(redirect="/")

    with client.session_transaction() as cookie:
        secret = cookie["_user_id"].partition(".")[2]
    with sessions() as session:
        row = session.scalars(select(UserSession)).one()

    assert secret not in {row.digest, row.user_id}
    assert len(secret) >= 40


def test_signing_in_again_ends_the_session_before(sign_in, client, sessions, app):
    sign_in(redirect="/")
    cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
    client.delete_cookie(cookie.key)
    older = app.test_client()
    older.set_cookie(cookie.key, cookie.value)

    sign_in(redirect="/")

    # Two browsers: each keeps its own session.
    assert older.get("/orgs/acme").status_code == 200


def test_a_session_ends_after_its_time(sign_in, visit, clock):
    sign_in(redirect="/")
    clock.advance(seconds=SESSION_LASTS.total_seconds())

    visit.get("/orgs/acme", redirect="/login?next=/orgs/acme")


def test_an_ended_row_ends_the_session(sign_in, visit, sessions):
    sign_in(redirect="/")
    with sessions() as session, transaction(session):
        row = session.scalars(select(UserSession)).one()
        row.ended_at = row.created_at

    visit.get("/orgs/acme", redirect="/login?next=/orgs/acme")


def test_tokens_from_before_the_sign_in_are_worthless_after_it(client, visit, sign_in):
    token = visit.get("/login").form("sign-in").values["csrf_token"][0]
    sign_in(redirect="/")

    answer = client.post("/logout", data={"csrf_token": token})

    assert answer.status_code == 400


def test_after_signing_in_a_person_is_where_they_wanted_to_be(sign_in, both_ways):
    sign_in(next_="/orgs/acme?x=1", htmx=both_ways.is_htmx, redirect="/orgs/acme?x=1")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "\\/evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nobody_is_led_to_another_site(sign_in, target):
    sign_in(next_=target, redirect="/")


def test_guesses_at_one_account_are_counted_and_its_owner_is_told_to_wait(client, visit, clock):
    token = visit.get("/login").form("sign-in").values["csrf_token"][0]
    data = {"csrf_token": token, "email": "ada@example.com", "password": "not this one"}

    for _ in range(RATES["sign_in_account"].times):
        assert client.post("/login", data=data).status_code == 422
    answer = client.post("/login", data=data | {"password": PASSWORD})

    assert answer.status_code == 429
    clock.advance(seconds=int(answer.headers["Retry-After"]))
    assert client.post("/login", data=data | {"password": PASSWORD}).status_code == 303


def test_signing_in_often_is_no_guess(app, visit):
    for _ in range(RATES["sign_in_account"].times + 1):
        client = app.test_client()
        other = type(visit)(client)
        form = other.get("/login").form("sign-in")
        form.fill(email="ada@example.com", password=PASSWORD).submit(redirect="/")


@pytest.mark.parametrize(("field", "value"), [("email", ""), ("email", "ada"), ("password", "")])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field(sign_in, both_ways, field, value):
    page = sign_in(htmx=both_ways.is_htmx, status=422, **{field: value})

    assert list(page.errors) == [field]


def test_the_journal_says_who_signed_in(sign_in, journal, cast):
    sign_in(redirect="/")

    (event,) = [event for event in journal() if event.tag == "user:session:started"]

    assert (event.actor_id, event.ip) == (cast.ada.user_id, "127.0.0.1")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_after_a_wrong_password_it_is_asked_for_again(sign_in, both_ways):
    page = sign_in(password="not this one", htmx=both_ways.is_htmx, status=422)

    assert page.one("[autofocus]")["name"] == "password"
    assert not page.one("[name=password]").get("value")
