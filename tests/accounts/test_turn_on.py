import re
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from portal.accounts import second_factor, set_up
from portal.accounts.errors import FactorIsOn
from portal.accounts.models import User
from portal.accounts.queries import find_factor, get_user
from portal.core.db import transaction
from tests.support.authenticator import KEY, Authenticator
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.usefixtures("cast", "clock")

PAGE = "/account/second-factor"


@pytest.fixture
def factor(sessions, cast):
    def read(person=None):
        with sessions() as session:
            return find_factor(session, (person or cast.ada).user_id)

    return read


def app_of(page):
    """An app that was told the secret on the page."""
    return Authenticator(page.one("#secret").get_text())


def test_a_first_code_of_the_app_turns_it_on_and_shows_ten_recovery_codes(
    as_ada, both_ways, factor
):
    page = as_ada.get(PAGE)

    done = page.form("set-up").fill(code=app_of(page).code()).submit(htmx=both_ways.is_htmx)

    codes = done.one("#recovery-codes").get_text().splitlines()
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"\d{4}( \d{4}){4}", code) for code in codes)
    assert done.headers["Cache-Control"] == "no-store"
    assert factor() is not None


def test_camera_tap_and_keyboard_are_told_the_same_secret(as_ada):
    page = as_ada.get(PAGE)

    link = urlsplit(page.link("Open it in an app on this device"))

    assert (link.scheme, link.netloc) == ("otpauth", "totp")
    assert parse_qs(link.query)["secret"] == [page.one("#secret").get_text().replace(" ", "")]
    assert link.path.endswith("ada%40example.com")
    assert page.one("svg[role=img] path")["d"].startswith("M4 4h1v1h-1z")


def test_looking_at_the_page_stores_nothing(as_ada, factor, tags):
    first, second = as_ada.get(PAGE), as_ada.get(PAGE)

    assert app_of(first) != app_of(second)
    assert factor() is None
    assert tags() == []


def test_neither_secret_nor_recovery_codes_are_kept_as_they_are(
    as_ada, sessions, factor, journal, outbox, both_ways
):
    page = as_ada.get(PAGE)
    secret = app_of(page).secret.replace(" ", "")
    done = page.form("set-up").fill(code=app_of(page).code()).submit(htmx=both_ways.is_htmx)

    (first, *_) = done.one("#recovery-codes").get_text().splitlines()
    with sessions() as session:
        rows = session.connection().exec_driver_sql("SELECT * FROM recovery_codes").all()
    kept = [str(vars(row)) for row in (factor(), *journal(), *outbox())] + [str(rows)]
    assert not [text for text in kept if secret in text or first in text]
    assert not [text for text in kept if first.replace(" ", "") in text]


def test_the_person_is_told_by_mail_and_the_journal_says_who(as_ada, outbox, journal, cast):
    page = as_ada.get(PAGE)
    page.form("set-up").fill(code=app_of(page).code()).submit()

    (event,) = [event for event in journal() if event.tag == "user:second_factor:enabled"]

    assert (event.actor_id, event.subject_id) == (cast.ada.user_id, cast.ada.user_id)
    assert (outbox()[0].to, outbox()[0].subject) == (cast.ada.email, "Your second factor is on")


@pytest.mark.parametrize("code", ["", "000000x", "12345", "wrong"])
def test_a_wrong_code_is_said_beside_its_field_and_the_secret_stays(
    as_ada, both_ways, factor, code
):
    page = as_ada.get(PAGE)

    again = page.form("set-up").fill(code=code).submit(htmx=both_ways.is_htmx, status=422)

    assert list(again.errors) == ["code"]
    assert app_of(again) == app_of(page)
    assert factor() is None
    again.form("set-up").fill(code=app_of(page).code()).submit()
    assert factor() is not None


def test_every_other_browser_signs_in_anew(as_ada, app, cast, both_ways):
    """The password alone let them in: they must not pass for browsers that gave a code."""
    other = app.test_client()
    cast.sign_in(other, cast.ada)
    page = as_ada.get(PAGE)

    page.form("set-up").fill(code=app_of(page).code()).submit(htmx=both_ways.is_htmx)

    assert other.get("/orgs/acme").status_code == 303
    assert as_ada.get("/orgs/acme").h1 == "Acme"


def test_what_was_copied_from_this_browser_before_is_worth_nothing_after(
    as_ada, app, client, both_ways
):
    name = app.config["SESSION_COOKIE_NAME"]
    page = as_ada.get(PAGE)
    thief = app.test_client()
    thief.set_cookie(name, client.get_cookie(name).value)
    assert thief.get("/orgs/acme").status_code == 200

    page.form("set-up").fill(code=app_of(page).code()).submit(htmx=both_ways.is_htmx)

    assert thief.get("/orgs/acme").status_code == 303


def test_the_rest_of_the_page_still_works_after(as_ada, both_ways):
    """With htmx it stays where it is: its forms must not have expired."""
    page = as_ada.get(PAGE)
    page.form("set-up").fill(code=app_of(page).code()).submit(htmx=both_ways.is_htmx)

    assert page.form("Sign out").submit(redirect="/login").flash == "You are signed out."


def test_whoever_turned_it_on_is_not_asked_again_at_once(as_ada, clock):
    clock.advance(minutes=16)
    page = as_ada.get(PAGE)
    page.form("set-up").fill(code=app_of(page).code(), proof_password=PASSWORD).submit()

    assert as_ada.get("/account/second-factor/off").form("turn-off").names == []


def test_a_code_of_the_half_minute_before_or_after_does_as_well(as_ada, factor):
    page = as_ada.get(PAGE)

    page.form("set-up").fill(code=app_of(page).code(steps=-1)).submit()

    assert factor() is not None


def test_a_code_of_a_minute_ago_does_not(as_ada):
    page = as_ada.get(PAGE)

    page.form("set-up").fill(code=app_of(page).code(steps=-2)).submit(status=422)


def test_a_secret_that_was_shown_long_ago_is_replaced(as_ada, both_ways, clock, factor):
    page = as_ada.get(PAGE)
    clock.advance(seconds=set_up.SET_UP_LASTS.total_seconds())
    form = page.form("set-up").fill(code=app_of(page).code())

    again = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "Here is a new one" in again.text
    assert app_of(again) != app_of(page)
    assert factor() is None


def test_nobody_can_choose_the_secret_of_somebody_else(as_ada, app, cast, visit, factor):
    """A page that Dan got for himself, sent by Ada's browser, would give him her codes."""
    client = app.test_client()
    cast.sign_in(client, cast.dan)
    his = type(visit)(client).get(PAGE)

    form = as_ada.get(PAGE).form("set-up")
    form.values["sealed"] = his.form("set-up").values["sealed"]
    form.fill(code=app_of(his).code()).submit(status=422)

    assert factor() is None


def test_what_is_on_is_not_set_up_again(as_ada, phone):
    page = as_ada.get(PAGE)

    assert page.facts["Recovery codes left"] == "10"
    assert not page.soup.select("#set-up")


def test_of_two_browsers_that_turn_it_on_at_once_one_does(sessions, cast):
    """Else the person would hold recovery codes that count for nothing."""
    outcomes: list[object] = []
    ready = threading.Barrier(2)

    def act():
        phone = Authenticator(set_up.totp.new_secret())
        with sessions() as session:
            ready.wait()
            try:
                with transaction(session):
                    user = get_user(session, cast.ada.user_id)
                    given = {"secret": phone.secret, "code": phone.code(), "key": KEY}
                    second_factor.turn_on(session, actor=cast.ada.actor, user=user, **given)
            except FactorIsOn as error:
                outcomes.append(error.code)
            else:
                outcomes.append("on")

    pair = [threading.Thread(target=act) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()

    assert sorted(outcomes) == ["on", "second_factor_is_on"]


def test_it_waits_for_a_confirmed_address(sessions, as_ada, cast, both_ways, factor):
    """Whoever signs up with a stranger's address must not shut the owner out."""
    page = as_ada.get(PAGE)
    form = page.form("set-up").fill(code=app_of(page).code())
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).email_confirmed_at = None

    form.submit(htmx=both_ways.is_htmx, status=409)

    assert "Once your address is confirmed" in as_ada.get(PAGE).text
    assert factor() is None


def test_the_account_page_says_whether_it_is_on(as_ada, phone):
    assert "10 recovery codes left" in as_ada.get("/account").facts["Second factor"]


def test_the_account_page_leads_to_it(as_ada):
    page = as_ada.get("/account")

    assert page.facts["Second factor"].startswith("off")
    assert page.link("Set up a second factor") == PAGE
    assert as_ada.get("/").link("ada@example.com") == "/account"
