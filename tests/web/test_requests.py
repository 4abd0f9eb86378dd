"""What is refused before any page is made."""

import json
from dataclasses import replace

import pytest

from portal.config import Env
from portal.factory import create_app

pytestmark = pytest.mark.usefixtures("catalog", "clock")

SIGN_UP = {
    "email": "eve@example.com",
    "password": "a long enough one",
    "organisation": "Eve & Co",
}


@pytest.fixture
def form(visit):
    """Valid data of the sign-up form, token and all."""
    token = visit.get("/signup").form("sign-up").values["csrf_token"][0]
    return SIGN_UP | {"csrf_token": token}


@pytest.fixture
def production(settings, sessions):
    made = replace(settings, env=Env.PRODUCTION, url="https://portal.example")
    return create_app(made, sessions=sessions).test_client()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "portal.example@evil"])
def test_a_forged_host_is_refused(client, outbox, host):
    answer = client.get("/", headers={"Host": host})

    assert answer.status_code == 400
    assert host not in answer.text


@pytest.mark.parametrize("address", ["/%00", "/orgs/%00", "/confirm/%00", "/login?next=%00"])
def test_an_address_with_a_nul_leads_nowhere(client, address):
    """PostgreSQL refuses such a text, which would be a fault of ours."""
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000"])
def test_the_own_hosts_are_welcome(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_a_forged_host_reaches_no_mail(client, form, outbox):
    answer = client.post("/signup", data=form, headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert outbox() == []


def test_in_production_only_the_public_address_is_answered(production):
    assert production.get("/", base_url="http://127.0.0.1:5000").status_code == 400
    assert production.get("/", base_url="https://portal.example").status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:5000.evil.example"]
)
def test_a_foreign_origin_is_refused(client, form, outbox, origin):
    answer = client.post("/signup", data=form, headers={"Origin": origin})

    assert answer.status_code == 403
    assert outbox() == []


@pytest.mark.parametrize("origin", [None, "http://localhost"])
def test_the_own_origin_passes_and_so_does_none(client, form, origin):
    """EXACT 38: Origin is checked only where it is sent."""
    headers = {"Origin": origin} if origin else {}

    assert client.post("/signup", data=form, headers=headers).status_code == 303


@pytest.mark.parametrize("token", [None, "", "made up"])
def test_a_form_without_its_token_changes_nothing(client, outbox, token):
    data = SIGN_UP | ({} if token is None else {"csrf_token": token})

    answer = client.post("/signup", data=data)

    assert answer.status_code == 400
    assert "Reload the page" in answer.text
    assert outbox() == []


@pytest.mark.parametrize("htmx", [False, True])
def test_a_body_of_ten_megabytes_is_too_large(client, form, outbox, htmx):
    headers = {"HX-Request": "true"} if htmx else {}
    data = form | {"organisation": "x" * 10_000_000}

    answer = client.post("/signup", data=data, headers=headers)

    assert answer.status_code == 413
    assert "larger than this page takes" in answer.text
    assert ("<html" in answer.text) is not htmx
    assert outbox() == []


def test_thousands_of_fields_do_no_harm(client, form):
    answer = client.post("/signup", data=form | {f"f{number}": "x" for number in range(5000)})

    assert answer.status_code in {303, 413}


def test_bytes_that_are_no_text_are_refused(client, form):
    data = "&".join(f"{name}={value}" for name, value in form.items() if name != "organisation")

    answer = client.post(
        "/signup",
        data=data.encode() + b"&organisation=%ff%fe%00",
        content_type="application/x-www-form-urlencoded",
    )

    assert answer.status_code == 422


def test_the_wrong_method_is_named(client, form):
    answer = client.put("/signup", data=form)

    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("address", ["/", "/login", "/nowhere", "/healthz"])
def test_every_answer_carries_the_security_headers(client, address):
    headers = client.get(address).headers

    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_cookies_are_secure_in_production_only(production, client):
    theirs = production.get("/login", base_url="https://portal.example").headers["Set-Cookie"]
    ours = client.get("/login").headers["Set-Cookie"]

    assert "; Secure" in theirs
    assert "; Secure" not in ours
    assert "HttpOnly" in ours
    assert "SameSite=Lax" in ours


def test_production_asks_for_tls_from_then_on(production):
    headers = production.get("/", base_url="https://portal.example").headers

    assert "max-age" in headers["Strict-Transport-Security"]


def test_htmx_keeps_no_copy_of_a_page(visit):
    """It would lie in the browser's storage after the sign-out, whatever `no-store` says."""
    config = visit.get("/").soup.select_one("meta[name=htmx-config]")["content"]

    assert json.loads(config)["historyCacheSize"] == 0


def test_what_is_not_there_is_a_page_with_a_way_on(visit):
    page = visit.get("/nowhere", status=404)

    assert page.h1 == "Not found"
    assert page.link("Go to the start page") == "/"


def test_machines_are_told_in_json(client):
    answer = client.get("/nowhere", headers={"Accept": "application/json"})

    assert answer.content_type == "application/problem+json"
    assert answer.json["type"] == "/problems/not_found"
    assert (answer.json["status"], answer.json["code"]) == (404, "not_found")


def test_a_fault_of_ours_shows_no_trace(app, client, caplog):
    @app.get("/broken")
    def broken():
        raise RuntimeError("the secret inside")

    app.view_functions["broken"].is_public = True
    app.testing = app.debug = False

    answer = client.get("/broken")

    assert answer.status_code == 500
    assert "the secret inside" not in answer.text
    assert "Traceback" not in answer.text
    assert "the secret inside" in caplog.text


def test_a_fault_of_ours_leaves_no_mailed_link_in_the_log(app, client, caplog):
    def broken(token):
        raise RuntimeError("out of order")

    broken.is_public = True
    app.view_functions["accounts.confirm_email"] = broken
    app.testing = app.debug = False

    client.get("/confirm/a-secret-token")

    assert "/confirm/<token>" in caplog.text
    assert "a-secret-token" not in caplog.text


def test_without_a_database_there_are_still_words(settings, tmp_path):
    gone = replace(settings, database_url=f"sqlite:///{tmp_path}/nowhere/portal.db")
    client = create_app(gone).test_client()
    with client.session_transaction() as cookie:
        cookie["_user_id"] = "usr_x.y"

    answer = client.get("/")

    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
