import pytest

from portal.accounts.models import RecoveryCode
from portal.accounts.queries import has_second_factor
from tests.support.authenticator import give_authenticator
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.usefixtures("cast", "clock", "phone")

OFF = "/account/second-factor/off"


@pytest.fixture
def is_on(sessions, cast):
    def read(person=None):
        with sessions() as session:
            return has_second_factor(session, (person or cast.ada).user_id)

    return read


def test_it_is_turned_off_and_the_password_alone_signs_in(as_ada, both_ways, is_on, app, visit):
    form = as_ada.get(OFF).form("turn-off")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/account/second-factor")

    assert page.flash == "Your second factor is off."
    assert not is_on()
    other = type(visit)(app.test_client())
    sign_in = other.get("/login").form("sign-in")
    sign_in.fill(email="ada@example.com", password=PASSWORD).submit(redirect="/")


def test_the_question_opens_in_the_dialog_too(as_ada):
    page = as_ada.get(OFF, htmx=True)

    assert page.form("turn-off").action == OFF


def test_it_is_mailed_and_in_the_journal(as_ada, outbox, tags, cast):
    as_ada.get(OFF).form("turn-off").submit(redirect="/account/second-factor")

    assert tags() == ["user:second_factor:disabled"]
    assert (outbox()[0].to, outbox()[0].subject) == (cast.ada.email, "Your second factor is off")


def test_after_sixteen_minutes_it_asks_for_a_code(as_ada, phone, clock, both_ways, is_on):
    clock.advance(minutes=16)
    form = as_ada.get(OFF).form("turn-off")

    page = form.submit(htmx=both_ways.is_htmx, status=422)
    assert list(page.errors) == ["proof_code"]
    assert is_on()

    page.form("turn-off").fill(proof_code=phone.code()).submit(redirect="/account/second-factor")
    assert not is_on()


def test_the_recovery_codes_end_with_it(as_ada, sessions, phone):
    as_ada.get(OFF).form("turn-off").submit(redirect="/account/second-factor")

    with sessions() as session:
        assert session.query(RecoveryCode).count() == 0


def test_a_sign_in_that_waits_for_a_code_begins_again(as_ada, phone, app, visit, both_ways):
    """No code could be right any more."""
    other = type(visit)(app.test_client())
    sign_in = other.get("/login").form("sign-in").fill(email="ada@example.com", password=PASSWORD)
    page = sign_in.submit(redirect="/login/code")
    as_ada.get(OFF).form("turn-off").submit(redirect="/account/second-factor")

    form = page.form("enter-code").fill(code=phone.code())

    begun = form.submit(htmx=both_ways.is_htmx, redirect="/login")
    assert "Begin again with your password" in begun.flash


def test_turning_it_off_twice_is_said_and_changes_nothing(as_ada, both_ways, tags):
    form = as_ada.get(OFF).form("turn-off")
    form.submit(redirect="/account/second-factor")

    form.submit(htmx=both_ways.is_htmx, status=409)

    assert tags() == ["user:second_factor:disabled"]


def test_another_persons_stays_on(as_ada, sessions, cast, is_on):
    give_authenticator(sessions, cast.dan)

    as_ada.get(OFF).form("turn-off").submit(redirect="/account/second-factor")

    assert is_on(cast.dan)
