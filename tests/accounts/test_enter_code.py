"""The second step of signing in."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from portal.accounts.codes import RATE, take_try
from portal.accounts.commands import begin_sign_in, end_sessions, make_link
from portal.accounts.errors import SignInOver, WrongCode
from portal.accounts.models import LinkPurpose, User, UserSession
from portal.accounts.policy import HALF_SIGN_IN_LASTS
from portal.accounts.queries import get_user
from portal.accounts.second_factor import finish_sign_in
from portal.core.actor import Actor
from portal.core.db import transaction
from portal.web.throttle import RATES
from tests.support.authenticator import KEY
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.usefixtures("cast", "clock", "phone")

WRONG = "The address or the password is not right."


@pytest.fixture
def password(visit):
    """Give Ada's password; what follows is the page for the code."""

    def send(*, email="ada@example.com", password=PASSWORD, next_="", htmx=False, **expected):
        form = visit.get("/login", **({"next": next_} if next_ else {})).form("sign-in")
        expected = expected or {"redirect": "/login/code"}
        return form.fill(email=email, password=password).submit(htmx=htmx, **expected)

    return send


@pytest.fixture
def live(sessions):
    """How many sessions there are."""

    def count():
        with sessions() as session:
            return len(session.scalars(select(UserSession)).all())

    return count


def test_the_password_and_a_code_sign_in(password, phone, both_ways, visit):
    page = password(htmx=both_ways.is_htmx)

    page.form("enter-code").fill(code=phone.code()).submit(htmx=both_ways.is_htmx, redirect="/")

    assert visit.get("/").h1 == "Acme"


def test_the_way_to_where_the_person_wanted_goes_on(password, phone):
    page = password(next_="/orgs/acme/keys", redirect="/login/code?next=/orgs/acme/keys")

    page.form("enter-code").fill(code=phone.code()).submit(redirect="/orgs/acme/keys")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_code_leads_nobody_to_another_site(password, phone, target):
    form = password().form("enter-code").fill(code=phone.code())
    form.values["next"] = [target]

    form.submit(redirect="/")


def test_a_wrong_password_reads_the_same_with_and_without_a_second_factor(password, both_ways):
    with_one = password(password="not this one", htmx=both_ways.is_htmx, status=422)
    without = password(
        email="ben@example.com", password="not this one", htmx=both_ways.is_htmx, status=422
    )

    assert WRONG in with_one.text
    assert with_one.text == without.text


def test_the_password_alone_is_no_session(password, visit, client, app, live):
    password()

    for path in ("/orgs/acme", "/orgs/acme/keys/new", "/account", "/account/second-factor"):
        visit.get(path, redirect=f"/login?next={path}")
    with client.session_transaction() as cookie:
        assert "_user_id" not in cookie
    assert live() == 0


def test_the_value_between_the_steps_does_not_do_as_a_session(password, client, cast, live):
    """Put where the session's own stands, it is nobody's."""
    password()
    with client.session_transaction() as cookie:
        cookie["_user_id"] = f"{cast.ada.user_id}.{cookie['half_sign_in']}"

    assert client.get("/orgs/acme").status_code == 303
    assert live() == 0


def test_giving_the_password_ends_the_session_that_the_browser_had(password, client, cast, visit):
    page = password(email="ben@example.com", redirect="/")
    form = visit.get("/").form("Sign out")
    assert page.h1 == "Acme"

    data = {"csrf_token": form.values["csrf_token"], "email": cast.ada.email, "password": PASSWORD}
    visit.post("/login", data=data, redirect="/login/code")

    assert client.get("/orgs/acme").status_code == 303


def test_a_wrong_code_is_said_beside_its_field(password, phone, both_ways, live):
    form = password().form("enter-code").fill(code=phone.wrong_code())

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["code"].startswith("This code is not right.")
    assert page.one("[autofocus]")["name"] == "code"
    assert live() == 0


@pytest.mark.parametrize(
    "code", ["", "   ", "12345", "1234567", "abc", "١٢٣٤٥٦", "\x07", "9" * 101]
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_no_code_is_said_beside_its_field(password, both_ways, code, live):
    page = password().form("enter-code").fill(code=code).submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["code"]
    assert live() == 0


def test_a_code_counts_with_gaps_and_in_full_width(password, phone):
    code = phone.code()
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code)

    password().form("enter-code").fill(code=f" {wide[:3]} {wide[3:]}").submit(redirect="/")


def test_a_code_counts_once_even_in_another_browser(password, phone, app, visit):
    password().form("enter-code").fill(code=phone.code()).submit(redirect="/")
    other = type(visit)(app.test_client())
    form = other.get("/login").form("sign-in").fill(email="ada@example.com", password=PASSWORD)

    page = form.submit(redirect="/login/code")

    page.form("enter-code").fill(code=phone.code()).submit(status=422)
    page.form("enter-code").fill(code=phone.code(steps=-1)).submit(status=422)
    page.form("enter-code").fill(code=phone.code(steps=1)).submit(redirect="/")


def test_the_value_between_the_steps_counts_once(password, phone, client, app, visit, clock):
    """Copied from the browser, it is worth nothing once the sign-in is done."""
    page = password()
    name = app.config["SESSION_COOKIE_NAME"]
    copied = client.get_cookie(name).value
    page.form("enter-code").fill(code=phone.code()).submit(redirect="/")
    clock.advance(seconds=60)

    thief = app.test_client()
    thief.set_cookie(name, copied)
    token = page.form("enter-code").values["csrf_token"]
    answer = thief.post("/login/code", data={"csrf_token": token, "code": phone.code()})

    assert (answer.status_code, answer.location) == (303, "/login")
    assert thief.get("/orgs/acme").status_code == 303


def test_the_time_between_the_steps_is_bounded(password, phone, clock, visit, both_ways):
    form = password().form("enter-code")
    clock.advance(seconds=HALF_SIGN_IN_LASTS.total_seconds())

    page = form.fill(code=phone.code()).submit(htmx=both_ways.is_htmx, redirect="/login")

    assert "Begin again with your password" in page.flash


def test_without_a_password_there_is_no_second_step(visit):
    visit.get("/login/code", redirect="/login")


def test_a_new_password_ends_what_is_half_way(password, phone, sessions, cast, app, visit):
    """Whoever knew the old one must not come in after it was changed."""
    form = password().form("enter-code")
    with sessions() as session, transaction(session):
        user = session.get_one(User, cast.ada.user_id)
        token = make_link(session, user=user, purpose=LinkPurpose.SET_PASSWORD)
    owner = type(visit)(app.test_client())
    new = owner.get(f"/set-password/{token}").form("set-password")

    after = new.fill(password="another long one").submit(redirect="/login/code")

    form.fill(code=phone.code()).submit(redirect="/login")
    after.form("enter-code").fill(code=phone.code()).submit(redirect="/")


def test_a_mailed_link_does_not_stand_in_for_the_code(sessions, cast, visit, client, live):
    """Who reads the mails has one factor, not two."""
    with sessions() as session, transaction(session):
        user = session.get_one(User, cast.ada.user_id)
        token = make_link(session, user=user, purpose=LinkPurpose.SET_PASSWORD)
    form = visit.get(f"/set-password/{token}").form("set-password")

    page = form.fill(password="another long one").submit(redirect="/login/code")

    assert page.flash == "Your password is set."
    assert client.get("/orgs/acme").status_code == 303
    assert live() == 0


@pytest.fixture
def guess(app):
    """Give a code in a browser, without a look at the page; the whole way stands in other tests."""

    def send(client, form, code):
        return client.post(form.action, data={**form.values, "code": code})

    return send


def test_guesses_are_counted_by_person_and_the_person_is_told(
    password, phone, outbox, clock, client, cast, guess
):
    """A right password opens the second step again and again: that must not begin the count anew."""
    times = RATES["second_factor"].times
    for tries in (times // 2, times - times // 2):
        form = password().form("enter-code")
        answers = [guess(client, form, phone.wrong_code()) for _ in range(tries)]
        assert {answer.status_code for answer in answers} == {422}

    form = password().form("enter-code")
    for _ in range(2):
        answer = guess(client, form, phone.code())
        assert answer.status_code == 429
    told = [mail for mail in outbox() if mail.subject == "Somebody tries to guess your code"]

    assert [mail.to for mail in told] == [cast.ada.email]
    clock.advance(seconds=int(answer.headers["Retry-After"]))
    password().form("enter-code").fill(code=phone.code()).submit(redirect="/")


def test_right_codes_are_no_guesses(app, visit, phone, clock, cast):
    """One try is left, and two that are right pass by it."""
    with app.app_context():
        for _ in range(RATES[RATE].times - 1):
            take_try(cast.ada.user_id)

    for _ in range(2):
        clock.advance(seconds=30)
        other = type(visit)(app.test_client())
        form = other.get("/login").form("sign-in").fill(email="ada@example.com", password=PASSWORD)
        page = form.submit(redirect="/login/code")
        page.form("enter-code").fill(code=phone.code()).submit(redirect="/")


def test_of_two_that_give_one_code_at_once_one_gets_in(sessions, cast, phone):
    """The row decides, not what was read before."""
    with sessions() as session, transaction(session):
        user = session.get_one(User, cast.ada.user_id)
        tokens = [begin_sign_in(session, actor=Actor(), user=user) for _ in range(2)]

    assert sorted(at_once(sessions, [(token, phone.code()) for token in tokens])) == ["in", "wrong"]


def test_of_two_that_complete_one_sign_in_at_once_one_gets_in(sessions, cast, phone):
    with sessions() as session, transaction(session):
        user = session.get_one(User, cast.ada.user_id)
        token = begin_sign_in(session, actor=Actor(), user=user)

    codes = [phone.code(), phone.code(steps=1)]
    assert sorted(at_once(sessions, [(token, code) for code in codes])) == ["in", "over"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_code_and_a_new_password_at_once_do_not_wait_for_each_other(sessions, cast, phone):
    """Both take the person first. Else each would hold what the other wants, and one would fail."""
    with sessions() as session, transaction(session):
        user = session.get_one(User, cast.ada.user_id)
        token = begin_sign_in(session, actor=Actor(), user=user)

    with ThreadPoolExecutor() as pool, sessions() as session, transaction(session):
        get_user(session, cast.ada.user_id)
        outcome = pool.submit(finish, sessions, token, phone.code())
        wait_until_somebody_waits(sessions)
        end_sessions(session, user_id=cast.ada.user_id)

    assert outcome.result() == "over"


def wait_until_somebody_waits(sessions):
    """Until another connection to this database waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    gives_up_at = time.monotonic() + 5
    while time.monotonic() < gives_up_at:
        with sessions() as session:
            if session.scalar(waiting):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def finish(sessions, token, code):
    """What becomes of a sign-in."""
    with sessions() as session:
        try:
            with transaction(session):
                finish_sign_in(session, actor=Actor(), token=token, code=code, key=KEY)
        except WrongCode:
            return "wrong"
        except SignInOver:
            return "over"
        return "in"


def at_once(sessions, given):
    """What becomes of sign-ins that are completed at the same time."""
    ready = threading.Barrier(len(given))

    def act(pair):
        ready.wait()
        return finish(sessions, *pair)

    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(act, given))


def test_the_journal_tells_both_steps(password, phone, tags):
    password().form("enter-code").fill(code=phone.code()).submit(redirect="/")

    assert tags() == ["user:sign_in:begun", "user:session:started"]


def test_the_page_for_the_code_is_not_kept_by_anybody(password):
    assert "no-store" in password().headers["Cache-Control"]
