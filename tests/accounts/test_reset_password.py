"""A forgotten password: whoever holds the mailbox sets a new one, and nobody else learns anything."""

import pytest

from portal.accounts.models import LinkPurpose, MailLink, ResetRequest, UserSession
from portal.core.jobs import run_all
from tests.support.authenticator import give_authenticator

NEW = "an entirely new one"


@pytest.fixture
def work(app):
    """One pass over all due work."""
    from portal.web.cli import jobs_of

    return lambda: run_all(jobs_of(app))


@pytest.fixture
def ask(visit, work):
    """Say that a password is forgotten, and let the mail be sent."""

    def send(email, *, htmx=False):
        form = visit.get("/forgot-password").form("forgot-password").fill(email=email)
        page = form.submit(htmx=htmx, redirect="/forgot-password/mail")
        work()
        return page

    return send


@pytest.fixture
def reset(visit):
    """Set a new password behind a link."""

    def send(link, password=NEW, **answer):
        return visit.get(link).form("set-password").fill(password=password).submit(**answer)

    return send


def sign_in(visit, email, password, **answer):
    form = visit.get("/login").form("sign-in").fill(email=email, password=password)
    return form.submit(**answer)


def test_a_forgotten_password_is_set_anew_by_a_mailed_link(
    visit, cast, ask, reset, newest_link, both_ways
):
    page = ask(cast.ada.email.upper(), htmx=both_ways.is_htmx)

    link = newest_link()
    reset(link, htmx=both_ways.is_htmx, redirect="/")

    assert page.h1 == "Check your mail"
    assert visit.is_signed_in
    visit.get("/logout").form("Sign out").submit(redirect="/login")
    sign_in(visit, cast.ada.email, NEW, redirect="/")


def test_every_session_and_every_other_link_ends(
    app, visit, cast, ask, reset, newest_link, outbox, sessions
):
    thief = app.test_client()
    cast.sign_in(thief, cast.ada)
    ask(cast.ada.email)
    first = newest_link()
    ask(cast.ada.email)

    visit.get(first, status=410)
    reset(newest_link(), redirect="/")

    assert thief.get("/account").location.startswith("/login")
    assert outbox()[0].subject == "Your password was set"
    with sessions() as session:
        live = session.query(UserSession).filter_by(user_id=cast.ada.user_id, ended_at=None)
        assert live.count() == 1


def test_a_link_sets_a_password_once_and_for_an_hour(
    app, visit, cast, ask, reset, newest_link, clock
):
    ask(cast.ada.email)
    used = newest_link()
    reset(used, redirect="/")
    visit.get(used, status=410)
    visit.post(used, data={"password": "yet another one"}, status=400)
    app.config["WTF_CSRF_ENABLED"] = False
    visit.post(used, data={"password": "yet another one"}, status=410)

    ask(cast.ben.email)
    late = newest_link()
    clock.advance(hours=1)

    visit.get(late, status=410)


def test_the_second_factor_is_asked_for_after_a_reset(
    visit, cast, ask, reset, newest_link, sessions, clock
):
    give_authenticator(sessions, cast.ada)
    ask(cast.ada.email)

    page = reset(newest_link(), redirect="/login/code")

    assert not visit.is_signed_in
    assert "code" in page.text


def test_a_weak_password_leaves_link_and_password_as_they_were(
    visit, cast, ask, reset, newest_link, both_ways
):
    ask(cast.ada.email)
    link = newest_link()

    page = reset(link, "short", htmx=both_ways.is_htmx, status=422)

    assert page.errors["password"]
    reset(link, redirect="/")


def test_the_answer_and_what_it_does_are_the_same_for_strangers(
    visit, cast, client, count_queries, outbox, work
):
    """By text: the same bytes. By time: the same statements, with the rest left to a job."""
    token = visit.get("/forgot-password").soup.select_one("[name=csrf_token]")["value"]
    answers, statements, mails = [], [], []

    for email in ("ada@example.com", "nobody@example.com"):
        with count_queries() as queries:
            answer = client.post("/forgot-password", data={"csrf_token": token, "email": email})
        answers.append((answer.status_code, answer.location, answer.data))
        statements.append(queries.statements)
        work()
        mails.append([mail.to for mail in outbox()])

    assert answers[0] == answers[1]
    assert statements[0] == statements[1]
    assert not any("users" in statement for statement in statements[0])
    assert mails[0] == mails[1]
    assert mails[0][0] == "ada@example.com"


def test_a_flooded_mailbox_gets_no_more_and_the_answer_stays_the_same(ask, cast, outbox):
    for _ in range(6):
        page = ask(cast.ada.email)

    assert page.h1 == "Check your mail"
    assert len([mail for mail in outbox() if mail.subject == "Set a new password"]) == 5


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_links_in_mails_name_the_portals_own_host(client, visit, cast, outbox, work, settings):
    """Whoever forges the host of the request could else have the token sent to their own."""
    token = visit.get("/forgot-password").soup.select_one("[name=csrf_token]")["value"]
    sent = {"csrf_token": token, "email": cast.ada.email}

    forged = client.post("/forgot-password", data=sent, headers={"Host": "evil.example"})
    passed_on = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    client.post("/forgot-password", data=sent, headers=passed_on)
    work()

    assert forged.status_code == 400
    (mail,) = outbox()
    assert f"{settings.url}/set-password/" in mail.text
    assert "evil" not in mail.text


def test_bad_input_is_said_beside_the_field_and_nothing_is_asked(visit, both_ways, sessions):
    form = visit.get("/forgot-password").form("forgot-password").fill(email="no address")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["email"]
    with sessions() as session:
        assert session.query(ResetRequest).count() == 0
        assert session.query(MailLink).filter_by(purpose=LinkPurpose.RESET_PASSWORD).count() == 0
