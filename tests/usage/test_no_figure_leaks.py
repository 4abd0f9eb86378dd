"""No figure of another organisation can be read, at any address: an outsider walks them all."""

import re
from dataclasses import dataclass

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org, Role
from portal.usage.warning import warn_all
from tests.support.factories import make_key, make_org_token, make_request, make_token, make_user
from tests.support.wire import Line, Wire, enrol
from tests.usage.reporting import REQUESTS, bucket

pytestmark = pytest.mark.long

# Numbers that nothing else has, each as programs and as people write it; and who made them.
FIGURES = (7_654_321, 8_765_431, 6_543_217, 98_713, 937)
KEY = "Quartz"
MODEL = "quartz-9"
MARKS = [*(f"{each}" for each in FIGURES), *(f"{each:,}" for each in FIGURES), KEY, MODEL]
# By itself: within an id or a hash it is chance.
MARK = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, MARKS))})(?!\w)")
QUERIES = ("", "?span=month&by=key", "?span=day&by=model&model=opus-5", "?wait=5&seen=0")
# Asks nothing of an organisation: files, and mail that only development shows.
APART = {"static", "dev.mail", "dev.mails", "dev.design"}


@dataclass(frozen=True)
class Found:
    endpoint: str
    path: str
    marks: set[str]


@pytest.fixture
def key(sessions, cast):
    """A key of Acme that made use, was refused, and is warned of."""
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        return make_key(session, org=org, name=KEY).key.id


@pytest.fixture
def used(app, sessions, cast, clock, key):
    wire = Wire(app, enrol(sessions))
    wire.report(None, health={"counters": "local", "spool": 0})
    requests, taken, made, refused, held = FIGURES
    counts = {"requests": requests, "input_tokens": taken, "output_tokens": made}
    minute = int(clock.at.timestamp()) // 60 * 60
    rows = [
        [key, "opus-5", counts | {"refused": {REQUESTS: refused}}, minute],
        [key, MODEL, {"requests": 1}, minute],
    ]
    answer = Line(wire, clock).send(*rows, counters=[[cast.acme.id, REQUESTS, bucket(clock, held)]])
    assert answer.status_code == 200
    assert warn_all(sessions, url="http://localhost") == 1


@pytest.fixture
def walk(app, sessions, cast, key, used):
    """Ask every address that can be read, naming things of Acme wherever one is named."""
    with sessions() as session, transaction(session):
        acme = session.get_one(Org, cast.acme.id)
        named = {
            "key": key,
            "member": cast.ben.user_id,
            "token": make_org_token(session, org=acme).token.id,
            "request": make_request(session, org=acme, staff=cast.root.actor).id,
            "tier": "scale",
            "suffix": "csv",
            "number": 1,
        }
    adapter = app.url_map.bind("localhost")

    def addresses(org):
        for rule in app.url_map.iter_rules():
            if "GET" not in (rule.methods or ()) or rule.endpoint in APART:
                continue
            values = {name: named.get(name, "none") for name in rule.arguments} | {"org": org}
            path = adapter.build(rule.endpoint, {name: values[name] for name in rule.arguments})
            # Only what shows figures reads these; elsewhere one form of the address is enough.
            queries = QUERIES if "usage" in path or rule.endpoint.startswith("console") else ("",)
            yield from ((rule.endpoint, str(path) + query) for query in queries)

    def go(client, org, **headers):
        # Refusals as JSON: their pages would cost more than all the rest.
        headers, found = {"Accept": "application/json", **headers}, []
        for endpoint, path in addresses(org):
            text = client.get(path, headers=headers, buffered=True).get_data(as_text=True)
            marks = set(MARK.findall(text))
            if marks:
                found.append(Found(endpoint, path, marks))
        return found

    return go


def test_an_outsider_reads_no_figure_at_any_address(walk, app, cast):
    client = app.test_client()
    cast.sign_in(client, cast.dan)

    found = [*walk(client, "acme"), *walk(client, "delta"), *walk(app.test_client(), "acme")]
    found += walk(client, "acme", **{"HX-Request": "true"})

    assert not found


def test_a_program_of_another_organisation_reads_none_either(walk, app, sessions, cast):
    with sessions() as session, transaction(session):
        delta = session.get_one(Org, cast.delta.id)
        secrets = [
            make_key(session, org=delta).secret.text,
            make_org_token(session, org=delta, role=Role.MANAGER).secret.text,
            make_token(session, user=make_user(session)).secret.text,
        ]

    for secret in secrets:
        assert not walk(app.test_client(), "acme", Authorization=f"Bearer {secret}")


def test_who_belongs_there_does_read_them(walk, app, cast):
    """Else the walk would find nothing because it sees nothing."""
    client = app.test_client()
    cast.sign_in(client, cast.cleo)

    found = {}
    for each in walk(client, "acme"):
        found.setdefault(each.endpoint, set()).update(each.marks)

    assert {"usage.usage", "usage.export", "usage_warnings.warnings", "console.org"} <= set(found)
    assert {"7654321", "98713", KEY, MODEL} <= found["usage.export"] | found["usage.usage"]
