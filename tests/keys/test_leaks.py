"""Secrets found in public, reported as GitHub reports them."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select

from portal.config import BadSettings, Settings
from portal.core.anatomy import new_secret
from portal.core.db import transaction
from portal.keys.commands import pause_key, revoke_key, set_rules
from portal.keys.models import ApiKey, KeyLeak
from portal.keys.policy import Rules
from portal.orgs.models import Org
from tests.support.clocks import START

PLACE = "https://github.com/acme/app/blob/main/.env"


class Scanner:
    """Signs as GitHub does; its keys are listed in GitHub's own form."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = f"k{id(self)}"

    @property
    def listed(self):
        pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {"key_identifier": self.name, "key": pem.decode(), "is_current": True}

    def headers(self, body):
        signature = self.key.sign(body, ec.ECDSA(hashes.SHA256()))
        return {
            "Github-Public-Key-Identifier": self.name,
            "Github-Public-Key-Signature": base64.b64encode(signature).decode(),
            "Content-Type": "application/json",
        }


def document(*scanners):
    return json.dumps({"public_keys": [each.listed for each in scanners]})


def leak_keys(*scanners, data):
    environ = {"PORTAL_LEAK_KEYS": document(*scanners), "PORTAL_DATA": str(data)}
    return Settings.from_env(environ).leak_keys


@pytest.fixture(scope="module")
def scanner():
    return Scanner()


@pytest.fixture
def settings(settings, scanner, tmp_path):
    from dataclasses import replace

    return replace(settings, leak_keys=leak_keys(scanner, Scanner(), data=tmp_path / "other"))


@pytest.fixture
def report(client, scanner):
    """What a scanner is answered."""

    def send(*tokens, place=PLACE, by=scanner, **headers):
        items = [
            {"token": each, "type": "plim_key", "url": place, "source": "content"}
            for each in tokens
        ]
        body = json.dumps(items).encode()
        return client.post("/api/v1/leaks", data=body, headers=by.headers(body) | headers)

    return send


@pytest.fixture
def leaks(sessions):
    def read():
        with sessions() as session:
            return session.scalar(select(func.count()).select_from(KeyLeak))

    return read


@pytest.fixture
def mailed(outbox):
    return lambda: sorted(mail.to for mail in outbox() if "is public" in mail.subject)


def test_whoever_owns_or_issued_a_key_that_is_public_is_told_once_and_the_key_page_says_it(
    clock, as_ada, issue, cast, report, leaks, mailed, outbox, journal
):
    issued = issue(name="Billing", by=cast.ben)

    answers = [report(issued.secret.text).status_code for _ in range(2)]

    assert (answers, leaks()) == ([204, 204], 1)
    assert mailed() == sorted([cast.ada.email, cast.ben.email])
    assert "It still works." in outbox()[0].text
    assert PLACE in outbox()[0].text
    page = as_ada.get(f"/orgs/acme/keys/{issued.key.id}")
    assert "Its secret was found in public" in page.text
    assert PLACE in page.facts["Found in public"]
    (event,) = [event for event in journal() if event.tag == "org:key:leaked"]
    assert (event.org_id, event.via, event.details["place"]) == (cast.acme.id, "api", PLACE)
    assert issued.secret.text not in str([vars(each) for each in (*outbox(), *journal())])


def test_it_is_paused_at_once_where_the_organisations_rule_says_so(
    clock, sessions, cast, issue, report, now, outbox
):
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        set_rules(session, actor=cast.ada.actor, org=org, rules=Rules(pause_leaked=True))
    issued = issue(name="Leaky")

    report(issued.secret.text)

    assert now(issued.key.id).paused_at == START
    assert "it was paused at once" in outbox()[0].text


def test_a_key_that_was_paused_before_is_not_said_to_be_dead(issue, sessions, cast, report, outbox):
    """Whoever resumes it tomorrow would put a public secret back to work."""
    issued = issue(name="Resting")
    with sessions() as session, transaction(session):
        pause_key(session, actor=cast.ada.actor, key=session.get_one(ApiKey, issued.key.id))

    report(issued.secret.text)

    assert "It is paused: it works again as soon as somebody resumes it." in outbox()[0].text


def test_the_answer_never_says_whether_a_key_exists(issue, sessions, cast, report, mailed):
    """Not to a scanner, whose answer is empty; and a stranger's body is not even read."""
    known, revoked = issue(), issue()
    with sessions() as session, transaction(session):
        row = session.get_one(ApiKey, revoked.key.id)
        revoke_key(session, actor=cast.ada.actor, key=row, reason="Over.")
    tokens = [known.secret.text, revoked.secret.text, new_secret("plim_live_").text, "é", ""]

    signed = [report(each) for each in tokens]
    forged = [report(each, **{"Github-Public-Key-Signature": "AAAA"}) for each in tokens]
    strange = [report(each, by=Scanner()) for each in tokens]

    for answers, status in ((signed, 204), (forged, 403), (strange, 403)):
        assert {each.status_code for each in answers} == {status}
        assert len({(each.data, str(sorted(each.headers))) for each in answers}) == 1
    assert forged[0].json == strange[0].json
    assert forged[0].json["code"] == "bad_signature"
    assert len(mailed()) == 2


def test_a_stranger_costs_no_look_at_the_database(issue, report, count_queries):
    secret = issue().secret.text

    with count_queries() as queries:
        report(secret, by=Scanner())

    assert not [each for each in queries.statements if "api_keys" in each]


def test_a_changed_body_or_a_missing_signature_is_refused(client, issue, scanner, leaks):
    secret = issue().secret.text
    body = json.dumps([{"token": secret, "url": PLACE}]).encode()
    headers = scanner.headers(body)

    changed = client.post("/api/v1/leaks", data=body + b" ", headers=headers)
    bare = client.post("/api/v1/leaks", data=body)

    assert (changed.status_code, bare.status_code, leaks()) == (403, 403, 0)


BAD = [b"", b"{}", b"[1]", b'[{"url": "x"}]', b'[{"token": 1}]', b"[" * 100_000]


def test_a_signed_body_of_another_form_is_refused(client, scanner, cast, leaks):
    for body in BAD:
        answer = client.post("/api/v1/leaks", data=body, headers=scanner.headers(body))

        assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert leaks() == 0


def test_what_a_scanner_writes_cannot_break_a_mail_or_a_page(as_ada, issue, report, outbox):
    issued = issue()
    place = "https://x.example/\r\nBcc: all@example.com\0\u202e<script>" + "x" * 2000

    report(issued.secret.text, place=place)

    assert "\nBcc:" not in outbox()[0].text
    assert "<script>x" not in as_ada.get(f"/orgs/acme/keys/{issued.key.id}").html


def test_several_scanner_keys_hold_at_once_so_that_one_takes_anothers_place(tmp_path):
    old, new = Scanner(), Scanner()

    assert set(leak_keys(old, new, data=tmp_path)) == {old.name, new.name}


@pytest.mark.parametrize(
    "text", ["x", "{}", '{"public_keys": [{"key_identifier": "a", "key": "b"}]}']
)
def test_what_is_no_list_of_scanner_keys_stops_the_start(text):
    with pytest.raises(BadSettings, match="PORTAL_LEAK_KEYS"):
        Settings.from_env({"PORTAL_LEAK_KEYS": text})


def test_a_key_of_another_curve_stops_the_start(tmp_path):
    other = Scanner()
    other.key = ec.generate_private_key(ec.SECP384R1())

    with pytest.raises(BadSettings, match="P-256"):
        leak_keys(other, data=tmp_path)
