"""What the portal keeps about a person, as a file of theirs."""

import json

from portal.core.db import transaction
from portal.orgs.models import Org
from tests.support.factories import make_key


def download(visit, client, **data):
    token = visit.get("/account/data").soup.select_one("[name=csrf_token]")["value"]
    return client.post("/account/data", data={"csrf_token": token, **data})


def test_a_person_takes_their_data_with_them(visit, client, cast, sessions):
    with sessions() as session, transaction(session):
        make_key(session, org=session.get_one(Org, cast.acme.id), name="Billing")
    cast.sign_in(client, cast.ada)

    answer = download(visit, client)

    found = json.loads(answer.text)
    assert found["account"]["email"] == cast.ada.email
    assert [org["name"] for org in found["organisations"]] == ["Acme"]
    assert [key["name"] for key in found["keys_issued"]] == ["Billing"]
    assert "Key issued" in {act["what"] for act in found["acts"]}
    assert found["sessions"][0]["network_address"] == "127.0.0.1"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "no-store" in answer.headers["Cache-Control"]


def test_the_file_holds_nothing_of_anybody_else_and_no_secret(visit, client, cast, sessions):
    cast.sign_in(client, cast.ada)

    text = download(visit, client).text

    for other in (cast.ben, cast.cleo, cast.dan):
        assert other.email not in text
    assert "argon2" not in text
    assert "digest" not in text


def test_a_borrowed_screen_gets_nothing(clock, visit, client, cast):
    cast.sign_in(client, cast.ada)
    clock.advance(minutes=15)

    form = visit.get("/account/data").form("own-data")
    page = form.fill(proof_password="a wrong one").submit(status=422)

    assert page.errors["proof_password"]
