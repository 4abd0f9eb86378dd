"""One limit asked in four ways: the portal, the check service, a decision and its RateLimit header agree."""

from datetime import datetime, timedelta

import httpx2
import pytest

from plimsoll.gateway import Gateway
from plimsoll.service import create_app
from plimsoll.serving import Server
from portal.core.db import transaction
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from portal.usage.models import UsageMinute
from tests.support.change_files import change_file
from tests.support.clocks import START, GatewayClock
from tests.support.factories import make_grant, make_key
from tests.support.product import eventually
from tests.support.wire import enrol

CUT = {"tier": "start", "model": "opus-5", "metric": "requests", "kind": "bucket", "period": 60}
CAP = {
    "model": "opus-5",
    "metric": "requests",
    "kind": "bucket",
    "period": 60,
    "quota": 40,
    "burst": 40,
}


@pytest.fixture
def issued(sessions, cast, clock):
    """A key of Acme's with a cap; a grant raises one limit."""
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        made = make_key(session, org=org, actor=cast.ada.actor)
        session.get_one(ApiKey, made.key.id).caps = [CAP]
        make_grant(session, org=org)
        return made


@pytest.fixture
def service(served, sessions, tmp_path, clock, issued):
    """A real gateway that follows the portal, and its check service over a socket."""
    token = enrol(sessions)
    gateway = Gateway(tmp_path / "gw", portal_url=served, token=token, clock=GatewayClock(clock))
    with gateway:
        eventually(lambda: gateway.replica.is_ready, seconds=10)
        server = Server(create_app(gateway), host="127.0.0.1", port=0)
        with httpx2.Client(base_url=server.url, trust_env=False) as http:
            yield http
        server.close()


def ask(http, secret):
    return http.get("/limits", headers={"x-api-key": secret})


def in_seconds(answer):
    """Gateways tell the portal whole seconds, never too early a one; they themselves say milliseconds."""
    for row in answer["limits"]:
        at = datetime.fromisoformat(row.get("full_at") or START.isoformat())
        if at.microsecond:
            later = at.replace(microsecond=0) + timedelta(seconds=1)
            row["full_at"] = later.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return answer


def test_portal_service_and_headers_tell_one_thing(
    service, served, issued, clock, publish, sessions, cast
):
    publish(change_file(rows=[{**CUT, "quota": 300}], effective_at="2027-01-01T00:00:00Z"))
    secret = issued.secret.text
    bearer = {"Authorization": f"Bearer {secret}"}
    checks = [
        service.get("/check", headers={**bearer, "X-Model": "opus-5", "X-Input-Tokens": "1200"})
        for _ in range(7)
    ]

    def at_the_portal():
        return httpx2.get(f"{served}/api/v1/me/limits", headers=bearer, trust_env=False)

    def told():
        gate = in_seconds(ask(service, secret).json())
        return gate if gate.get("announced") and at_the_portal().json() == gate else None

    gate = eventually(told, seconds=15)

    assert {answer.status_code for answer in checks} == {200}
    assert len(gate["limits"]) == 14
    rows = {row["limit"]: row for row in gate["limits"]}
    assert rows["start.opus-5.requests.1m"]["quota"] == 2000
    assert [
        rows[name]["used"] for name in ("start.opus-5.requests.1m", "cap.opus-5.requests.1m")
    ] == [7, 7]
    assert rows["start.opus-5.input_tokens.1m"]["used"] == 7 * 1200
    name, _, left = checks[-1].headers["RateLimit"].partition(";r=")
    assert int(left.partition(";")[0]) == rows[name.strip('"')]["remaining"] == 33
    assert f'"{name.strip(chr(34))}";q=40;w=60' in checks[-1].headers["RateLimit-Policy"]
    announced = at_the_portal().headers["Plimsoll-Limit-Change"]
    assert announced == ask(service, secret).headers["Plimsoll-Limit-Change"]
    # By then the grant has ended.
    assert announced.startswith("2;effective=@1798761600")
    assert gate["announced"] == [
        {
            "limit": "start.opus-5.requests.1m",
            "change": 2,
            "effective_at": "2027-01-01T00:00:00Z",
            "quota": 300,
            "burst": 300,
        }
    ]


def test_asking_costs_nothing_and_is_no_use(client, issued, sessions, clock):
    answers = [
        client.get("/api/v1/me/limits", headers={"x-api-key": issued.secret.text}) for _ in range(3)
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json == answers[2].json
    assert answers[0].headers["Cache-Control"] == "no-store"
    with sessions() as session:
        assert session.query(UsageMinute).count() == 0
