from dataclasses import replace

import pytest

from portal.config import Env
from portal.core.db import transaction
from portal.core.outbox import Message, queue_mail
from portal.factory import create_app


@pytest.fixture
def mail(sessions):
    text = (
        "Open <this>:\n\nhttp://127.0.0.1:5000/confirm/abc?x=1&y=2\n\nor https://other.example/x\n"
    )
    with sessions() as session, transaction(session):
        message = Message(to="eve@example.com", subject="A <b>letter</b>", text=text)
        queue_mail(session, message, event="e", person="p")


def test_the_mail_box_is_empty_at_first(visit):
    assert "No mail yet" in visit.get("/dev/mail").text


def test_a_mail_is_listed_and_opens(visit, mail):
    page = visit.get("/dev/mail")
    letter = visit.get(page.link("A <b>letter</b>"))

    assert letter.h1 == "A <b>letter</b>"
    assert "Open <this>:" in letter.text
    assert letter.facts["To"] == "eve@example.com"


def test_links_to_this_portal_stay_on_the_host_it_is_open_under(visit, mail):
    letter = visit.get(visit.get("/dev/mail").link("A <b>letter</b>"))

    assert letter.link("http://127.0.0.1:5000/confirm/abc?x=1&y=2") == "/confirm/abc?x=1&y=2"
    assert letter.link("https://other.example/x") == "https://other.example/x"


def test_a_mail_that_is_not_there_is_not_found(visit):
    visit.get("/dev/mail/mail_nope", status=404)


def test_all_components_stand_on_one_page(visit):
    assert visit.get("/design").h1 == "Design"


@pytest.mark.parametrize("address", ["/dev/mail", "/dev/mail/x", "/design"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_in_production_none_of_it_exists(settings, sessions, address):
    production = replace(settings, env=Env.PRODUCTION, url="https://portal.example")
    client = create_app(production, sessions=sessions).test_client()

    assert client.get(address, base_url="https://portal.example").status_code == 404
