"""Risky acts ask for a proof on their own form, where the last one is older than 15 minutes.

Tried on issuing a key, as a person would.
"""

import pytest
from sqlalchemy import select

from portal.accounts.commands import end_sessions, prove_session
from portal.accounts.models import User
from portal.core.db import transaction
from portal.keys.models import ApiKey
from portal.web.throttle import RATES
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.usefixtures("cast", "clock")

NEW = "/orgs/acme/keys/new"


@pytest.fixture
def key_names(sessions):
    def read():
        with sessions() as session:
            return list(session.scalars(select(ApiKey.name).order_by(ApiKey.created_at)))

    return read


@pytest.fixture
def stale(as_ada, clock):
    """Ada, who signed in 16 minutes ago."""
    clock.advance(minutes=16)
    return as_ada


def new_key(visit, name="Billing"):
    return visit.get(NEW).form("new_key").fill(name=name)


def test_a_fresh_sign_in_counts(as_ada, clock, key_names):
    clock.advance(minutes=14, seconds=59)

    form = new_key(as_ada)

    assert not [name for name in form.names if name.startswith("proof")]
    form.submit()
    assert key_names() == ["Billing"]


def test_after_fifteen_minutes_the_form_asks_for_the_password(stale, key_names, both_ways, tags):
    form = new_key(stale).fill(proof_password=PASSWORD)

    form.submit(htmx=both_ways.is_htmx)

    assert key_names() == ["Billing"]
    assert tags() == ["user:session:proven", "org:key:issued"]


@pytest.mark.parametrize(
    ("given", "said"), [("", "Enter your password."), ("not this", "This is not your password.")]
)
def test_a_missing_or_wrong_password_is_said_beside_its_field_and_nothing_is_lost(
    stale, both_ways, key_names, given, said
):
    form = new_key(stale).fill(proof_password=given, models=["opus-5"], networks="10.0.0.0/8")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors == {"proof_password": said}
    kept = page.form("new_key").values
    assert (kept["name"], kept["models"]) == (["Billing"], ["opus-5"])
    assert (kept["networks"][0].strip(), kept["proof_password"]) == ("10.0.0.0/8", [""])
    assert page.one("[autofocus]")["name"] == "proof_password"
    assert key_names() == []


def test_who_has_a_second_factor_is_asked_for_its_code(stale, phone, both_ways, key_names):
    form = new_key(stale)

    assert [name for name in form.names if name.startswith("proof")] == ["proof_code"]
    form.fill(proof_code=phone.code()).submit(htmx=both_ways.is_htmx)
    assert key_names() == ["Billing"]


def test_the_password_does_not_stand_in_for_the_code(stale, phone, client, both_ways, key_names):
    form = new_key(stale)

    form.fill(proof_code=PASSWORD).submit(htmx=both_ways.is_htmx, status=422)
    answer = client.post(form.action, data={**form.values, "proof_password": PASSWORD})

    assert answer.status_code == 422
    assert key_names() == []


@pytest.mark.parametrize(("given", "said"), [(None, "Enter a code."), ("wrong", "not right")])
def test_a_missing_or_wrong_code_is_said_beside_its_field(
    stale, phone, both_ways, key_names, given, said
):
    code = phone.wrong_code() if given else ""

    page = new_key(stale).fill(proof_code=code).submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["proof_code"]
    assert said in page.errors["proof_code"]
    assert key_names() == []


def test_a_code_that_signed_in_proves_nothing_any_more(visit, phone, clock, key_names):
    form = visit.get("/login").form("sign-in").fill(email="ada@example.com", password=PASSWORD)
    code = phone.code(steps=1)
    form.submit(redirect="/login/code").form("enter-code").fill(code=code).submit(redirect="/")
    clock.advance(minutes=16)

    new_key(visit).fill(proof_code=code).submit(status=422)

    assert key_names() == []


def test_a_recovery_code_proves_it_too(stale, phone, key_names):
    new_key(stale).fill(proof_code=phone.recovery_codes[0]).submit()

    assert key_names() == ["Billing"]


def test_a_form_that_was_opened_fresh_asks_when_it_comes_too_late(
    as_ada, clock, both_ways, key_names
):
    form = new_key(as_ada)
    clock.advance(minutes=16)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["proof_password"]
    page.form("new_key").fill(proof_password=PASSWORD).submit()
    assert key_names() == ["Billing"]


def test_what_was_proven_once_is_not_asked_again_for_something_else(stale, both_ways, key_names):
    """The proof is kept, also where the act itself is refused."""
    form = new_key(stale, name="   ").fill(proof_password=PASSWORD)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["name"]
    again = page.form("new_key").fill(name="Billing")
    assert "proof_password" not in again.names
    again.submit()
    assert key_names() == ["Billing"]


def test_a_proof_lasts_fifteen_minutes_in_the_browser_where_it_was_given(
    stale, clock, app, visit, cast, key_names
):
    other = type(visit)(app.test_client())
    cast.sign_in(other.client, cast.ada)
    clock.advance(minutes=16)
    new_key(stale).fill(proof_password=PASSWORD).submit()
    clock.advance(minutes=14)

    new_key(stale, name="Second").submit()
    new_key(other, name="Third").submit(status=422)

    assert key_names() == ["Billing", "Second"]


def test_outsiders_find_nothing_whatever_the_proof(stale, visit, client, cast, clock, key_names):
    cast.sign_in(client, cast.dan)
    clock.advance(minutes=16)
    form = visit.get("/orgs/delta/keys/new").form("new_key").fill(name="Billing")
    form.tag["action"] = "/orgs/acme/keys"

    form.fill(proof_password="").submit(status=404)
    form.fill(proof_password="wrong").submit(status=404)
    form.fill(proof_password=PASSWORD).submit(status=404)

    assert key_names() == []


def test_a_viewer_may_not_whatever_the_proof(visit, client, cast, clock, key_names):
    cast.sign_in(client, cast.cleo)
    clock.advance(minutes=16)
    token = visit.get("/orgs/acme/keys").soup.select_one("[name=csrf_token]")["value"]

    for proof in ("", "wrong", PASSWORD):
        data = {"csrf_token": token, "name": "x", "proof_password": proof}
        visit.post("/orgs/acme/keys", data=data, status=403)

    assert key_names() == []


@pytest.mark.parametrize("way", ["password", "code"])
def test_guesses_are_counted(request, stale, client, way, key_names):
    phone = request.getfixturevalue("phone") if way == "code" else None
    form, rate = new_key(stale), "second_factor" if phone else "sign_in_account"
    wrong, right = (phone.wrong_code(), phone.code()) if phone else ("wrong", PASSWORD)

    for _ in range(RATES[rate].times):
        form.fill({f"proof_{way}": wrong}).submit(status=422)
    answer = client.post(form.action, data={**form.values, f"proof_{way}": right})

    assert answer.status_code == 429
    assert key_names() == []


def test_right_proofs_are_no_guesses(stale, app, visit, cast, clock, key_names):
    """All within one window of the throttle, each from a browser that has proved nothing yet."""
    browsers = [type(visit)(app.test_client()) for _ in range(RATES["sign_in_account"].times + 1)]
    for browser in browsers:
        cast.sign_in(browser.client, cast.ada)
    clock.advance(minutes=16)

    for number, browser in enumerate(browsers):
        new_key(browser, name=f"Key {number}").fill(proof_password=PASSWORD).submit()

    assert len(key_names()) == len(browsers)


def test_a_session_that_ended_meanwhile_is_not_proven(as_ada, sessions, client, cast):
    """Ended elsewhere between the look and the lock: a proof must not bring it back."""
    with client.session_transaction() as cookie:
        session_id = cookie["_user_id"].partition(".")[2]

    with sessions() as session, transaction(session):
        end_sessions(session, user_id=cast.ada.user_id)
        done = prove_session(session, actor=cast.ada.actor, session_id=session_id)

    assert not done


def test_a_password_that_changed_since_proves_nothing(stale, sessions, cast, key_names):
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).password_hash = None

    new_key(stale).fill(proof_password=PASSWORD).submit(status=422)

    assert key_names() == []
