"""Somebody signs up under an address that is not theirs. Whoever proves it later keeps the account, alone.

An address that nobody has confirmed need not agree to a change of it: so that change ends as soon as the
address is proved, in whatever way.
"""

from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from portal.core.db import transaction
from portal.core.jobs import run_all
from portal.core.outbox import Mail
from portal.orgs.models import Org
from portal.web.cli import jobs_of
from tests.support.factories import make_invitation

pytestmark = pytest.mark.usefixtures("clock", "catalog")
HELD, OTHER = "held@example.com", "stranger@example.net"


@pytest.fixture
def trap(sign_up, visit, sessions):
    """A stranger's account under HELD, with a change to their own mailbox under way: the link there."""
    sign_up(email=HELD)
    form = visit.get("/login").form("sign-in")
    form.fill(email=HELD, password="a long enough one").submit(redirect="/")
    form = visit.get("/account/email").form("new-address").fill(email=OTHER)
    form.submit(redirect="/account/email")
    with sessions() as session:
        text = session.scalars(select(Mail.text).where(Mail.to == OTHER)).one()
    link = next(word for word in text.split() if "/email-change/" in word)
    return urlsplit(link).path


def test_the_staff_to_come(app, trap, person):
    app.test_cli_runner().invoke(args=["admin", "create", HELD])

    assert app.test_client().get(trap).status_code == 410
    assert person(HELD).is_admin


def test_whoever_is_invited(app, trap, person, sessions, cast):
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        _, token = make_invitation(session, org=org, email=HELD)
    app.config["WTF_CSRF_ENABLED"] = False
    data = {"password": "a few words that will do"}
    assert app.test_client().post(f"/invitations/{token}/sign-up", data=data).status_code == 303

    assert app.test_client().get(trap).status_code == 410
    assert person(HELD).email_confirmed_at


def test_whoever_signs_up_in_another_browser(app, trap, person, newest_link):
    app.config["WTF_CSRF_ENABLED"] = False
    owner = app.test_client()
    data = {"email": HELD, "password": "a few words that will do", "organisation": "Mine"}
    assert owner.post("/signup", data=data).status_code == 303
    owner.get(newest_link())

    assert person(HELD).email_confirmed_at
    assert app.test_client().get(trap).status_code == 410


def test_whoever_has_forgotten_a_password_they_never_had(app, trap, person, newest_link):
    app.config["WTF_CSRF_ENABLED"] = False
    owner = app.test_client()
    owner.post("/forgot-password", data={"email": HELD})
    run_all(jobs_of(app))
    owner.post(newest_link(), data={"password": "a few words that will do"})

    assert person(HELD).email_confirmed_at
    assert app.test_client().get(trap).status_code == 410
