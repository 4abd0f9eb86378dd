import threading

import pytest

from portal.accounts.models import SecondFactor
from portal.accounts.queries import get_user
from portal.accounts.second_factor import use_code
from portal.core.db import transaction
from tests.support.authenticator import KEY
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.usefixtures("cast", "clock", "phone")

PAGE = "/account/second-factor"
NEW = "/account/second-factor/codes"


@pytest.fixture
def code_page(app, visit):
    """The page for Ada's code, in a browser of its own."""

    def open_page():
        other = type(visit)(app.test_client())
        form = other.get("/login").form("sign-in").fill(email="ada@example.com", password=PASSWORD)
        return other, form.submit(redirect="/login/code")

    return open_page


def test_a_recovery_code_signs_in_once(code_page, phone, both_ways):
    browser, page = code_page()
    form = page.form("enter-code").fill(code=phone.recovery_codes[3])

    form.submit(htmx=both_ways.is_htmx, redirect="/")

    assert browser.get(PAGE).facts["Recovery codes left"] == "9"
    code_page()[1].form("enter-code").fill(code=phone.recovery_codes[3]).submit(status=422)


def test_it_may_be_typed_in_groups(code_page, phone):
    code = phone.recovery_codes[0]
    typed = "-".join(code[start : start + 4] for start in range(0, 20, 4)) + " "

    code_page()[1].form("enter-code").fill(code=typed).submit(redirect="/")


def test_its_use_is_mailed_and_in_the_journal(code_page, phone, outbox, tags, cast):
    code_page()[1].form("enter-code").fill(code=phone.recovery_codes[0]).submit(redirect="/")

    assert "user:recovery_code:used" in tags()
    assert (outbox()[0].to, outbox()[0].subject) == (cast.ada.email, "A recovery code was used")
    assert "Recovery codes left: 9." in outbox()[0].text


def test_it_still_counts_where_the_secret_cannot_be_read_any_more(code_page, phone, sessions, cast):
    """With another secret key the codes of the app are lost; people must not be."""
    with sessions() as session, transaction(session):
        session.get_one(SecondFactor, cast.ada.user_id).secret = "written with another key"

    code_page()[1].form("enter-code").fill(code=phone.code()).submit(status=422)
    code_page()[1].form("enter-code").fill(code=phone.recovery_codes[0]).submit(redirect="/")


def test_of_two_that_give_one_recovery_code_at_once_one_gets_in(sessions, cast, phone):
    outcomes: list[bool] = []
    ready = threading.Barrier(2)

    def act():
        with sessions() as session:
            ready.wait()
            with transaction(session):
                user = get_user(session, cast.ada.user_id)
                given = {"code": phone.recovery_codes[0], "key": KEY}
                outcomes.append(use_code(session, actor=cast.ada.actor, user=user, **given))

    pair = [threading.Thread(target=act) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()

    assert sorted(outcomes) == [False, True]


def test_somebody_elses_recovery_code_is_worth_nothing(sessions, cast, phone, code_page):
    from tests.support.authenticator import give_authenticator

    his = give_authenticator(sessions, cast.dan)

    code_page()[1].form("enter-code").fill(code=his.recovery_codes[0]).submit(status=422)


def test_new_ones_replace_the_old(as_ada, phone, code_page, both_ways, tags, outbox):
    page = as_ada.get(NEW).form("new-codes").submit(htmx=both_ways.is_htmx)

    new = page.one("#recovery-codes").get_text().splitlines()
    assert page.headers["Cache-Control"] == "no-store"
    assert tags()[-1] == "user:recovery_codes:renewed"
    assert outbox()[0].subject == "You have new recovery codes"
    code_page()[1].form("enter-code").fill(code=phone.recovery_codes[0]).submit(status=422)
    code_page()[1].form("enter-code").fill(code=new[0]).submit(redirect="/")


def test_new_ones_ask_for_a_proof(as_ada, phone, clock, both_ways, code_page):
    clock.advance(minutes=16)
    form = as_ada.get(NEW).form("new-codes")

    page = form.fill(proof_code=phone.wrong_code()).submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["proof_code"]
    code_page()[1].form("enter-code").fill(code=phone.recovery_codes[0]).submit(redirect="/")


def test_without_a_second_factor_there_are_none(visit, client, cast):
    cast.sign_in(client, cast.ben)
    token = visit.get(PAGE).form("set-up").values["csrf_token"]

    visit.get(NEW, status=409)
    visit.post(NEW, data={"csrf_token": token}, status=409)


def test_whoever_has_none_left_is_told(as_ada, phone, sessions, cast):
    with sessions() as session, transaction(session):
        user = get_user(session, cast.ada.user_id)
        for code in phone.recovery_codes:
            assert use_code(session, actor=cast.ada.actor, user=user, code=code, key=KEY)

    assert "You have no recovery codes left" in as_ada.get(PAGE).text
