"""The check service, asked over a real socket (EXACT.md 25, 26)."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

import httpx2
import orjson
import pytest

from plimsoll.gateway import Gateway
from plimsoll.service import create_app
from plimsoll.serving import Server
from plimsoll.testing import FakePortal, ManualClock
from tests.library.rig import CATALOG


class Service:
    """A gateway with its check service, and a client of it."""

    def __init__(self, portal: FakePortal, clock: ManualClock, state: Path, **options: object):
        self.portal = portal
        self.gateway = Gateway(
            state,
            portal_url=portal.url,
            token=portal.token,
            clock=clock,
            transport=portal.transport(),
            observe=bool(options.pop("observe", False)),
        )
        app = create_app(self.gateway, **options)  # type: ignore[arg-type]
        self.server = Server(app, host="127.0.0.1", port=0)
        self.http = httpx2.Client(base_url=self.server.url, trust_env=False)
        self.gateway.start()

    def check(self, secret: str | None, **headers: str) -> httpx2.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if secret is not None:
            fields["Authorization"] = f"Bearer {secret}"
        return self.http.get("/check", headers={"X-Model": "sonnet-5", **fields})

    def level(self) -> None:
        head = self.portal.revision
        for _ in range(2000):
            known = self.gateway.replica.head
            if known is not None and known.revision == head:
                return
            self.gateway._stop.wait(0.005)
        pytest.fail("the gateway is not level")

    def close(self) -> None:
        self.http.close()
        self.server.close()
        self.gateway.close()


@pytest.fixture
def service(portal: FakePortal, clock: ManualClock, tmp_path: Path) -> Iterator[Service]:
    made = Service(
        portal,
        clock,
        tmp_path / "state",
        trusted_proxies=[ipaddress.ip_network("127.0.0.0/8")],
    )
    made.level()
    yield made
    made.close()


@pytest.fixture
def secret(service: Service) -> str:
    key = service.portal.add_key(service.portal.add_org("build"))
    service.level()
    return key.secret


def used(service: Service, secret: str) -> dict[str, int]:
    answer = service.http.get("/limits", headers={"x-api-key": secret})
    return {each["limit"]: each["used"] for each in answer.json()["limits"]}


def test_an_admitted_request_is_200_with_who_and_what(service: Service, secret: str) -> None:
    answer = service.check(secret, X_Input_Tokens="12", X_Max_Tokens="100")

    assert answer.status_code == 200
    assert answer.headers["X-Plimsoll-Decision"].startswith("dec_")
    assert answer.headers["X-Plimsoll-Org"].startswith("org_")
    assert answer.headers["X-Plimsoll-Key"].startswith("key_")
    assert answer.headers["X-Plimsoll-Environment"] == "live"
    assert "RateLimit" in answer.headers
    assert used(service, secret)["build.sonnet-5.output_tokens.1m"] == 100


def test_settling_is_204_and_idempotent(service: Service, secret: str) -> None:
    decision = service.check(secret, X_Max_Tokens="100").headers["X-Plimsoll-Decision"]
    body = {"decision": decision, "input_tokens": None, "output_tokens": 7, "spend_microusd": 30}

    for _ in range(2):
        answer = service.http.post("/settle", json=body)
        assert (answer.status_code, answer.content) == (204, b"")

    assert used(service, secret)["build.sonnet-5.output_tokens.1m"] == 7
    assert used(service, secret)["build.all.spend_microusd.month"] == 30


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None),
        (b"[]", 400, None),
        (b"{}", 422, "decision"),
        (b'{"decision":"x","output_tokens":-1}', 422, "output_tokens"),
        (b'{"decision":"x","output_tokens":1.5}', 422, "output_tokens"),
        (b'{"decision":"x","failed":"no"}', 422, "failed"),
        (b" " * 20_000, 400, None),
    ],
)
def test_a_settlement_that_cannot_be_read_is_refused_with_its_field(
    service: Service, body: bytes, status: int, field: str | None
) -> None:
    answer = service.http.post("/settle", content=body)

    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/check", "/check/", "/check/v1/messages?x=1", "/check/settle"])
def test_any_method_and_any_path_below_is_the_same_question(
    service: Service, secret: str, method: str, path: str
) -> None:
    """Envoy asks with the caller's own method, and with the caller's path behind `/check`."""
    refused = service.http.request(method, path)
    admitted = service.http.request(method, path, headers={"x-api-key": secret})

    assert (refused.status_code, admitted.status_code) == (401, 200)


@pytest.mark.parametrize("tokens", ["-1", "1.5", "x", "9" * 30, "\u00b2"])
def test_tokens_that_are_no_number_are_refused(service: Service, secret: str, tokens: str) -> None:
    answer = service.http.get(
        "/check",
        headers={"x-api-key": secret, "X-Input-Tokens": tokens.encode("latin-1")},
    )

    assert (answer.status_code, answer.json()["field"]) == (422, "X-Input-Tokens")


def test_a_refusal_has_its_status_and_problem(service: Service) -> None:
    answer = service.check(None)

    assert answer.status_code == 401
    assert answer.json()["code"] == "key_missing"
    assert "X-Plimsoll-Decision" not in answer.headers


def test_a_proxy_that_knows_few_statuses_gets_the_true_one_beside(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    service = Service(portal, clock, tmp_path / "state", deny_status=403)
    key = portal.add_key(portal.add_org("build"))
    service.level()
    try:
        answer = service.check(key.secret, X_Max_Tokens="100000000")
        assert (answer.status_code, answer.headers["X-Plimsoll-Status"]) == (403, "413")
        assert orjson.loads(answer.headers["X-Plimsoll-Problem"]) == answer.json()
        unread = service.check(key.secret, X_Max_Tokens="many")
        assert (unread.status_code, unread.headers["X-Plimsoll-Status"]) == (403, "422")
        assert service.check(key.secret).status_code == 200
        assert service.http.get("/limits").status_code == 401
    finally:
        service.close()


@pytest.mark.parametrize(("address", "status"), [("192.0.2.7", 200), ("198.51.100.1", 403)])
def test_a_trusted_proxy_is_believed_about_the_callers_address(
    service: Service, address: str, status: int
) -> None:
    key = service.portal.add_key(service.portal.add_org("build"), networks=["192.0.2.0/24"])
    service.level()

    assert service.check(key.secret, X_Client_IP=address).status_code == status
    assert service.check(key.secret).status_code == 403


def test_nobody_else_is_believed_about_the_callers_address(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    service = Service(portal, clock, tmp_path / "state")
    key = portal.add_key(portal.add_org("build"), networks=["192.0.2.0/24", "127.0.0.0/8"])
    service.level()
    try:
        answer = service.check(key.secret, X_Client_IP="192.0.2.7")
        assert answer.json()["code"] == "network_not_allowed"
    finally:
        service.close()


def test_the_limits_of_a_key_are_read_without_cost(service: Service, secret: str) -> None:
    service.check(secret)

    answer = service.http.get("/limits", headers={"x-api-key": secret})

    limits = {each["limit"]: each for each in answer.json()["limits"]}
    assert limits["build.sonnet-5.requests.1m"] == {
        "limit": "build.sonnet-5.requests.1m",
        "metric": "requests",
        "kind": "bucket",
        "period": 60,
        "quota": 5000,
        "burst": 5000,
        "used": 1,
        "remaining": 4999,
        "full_at": "2026-11-23T02:13:20.012Z",
    }
    assert limits["build.all.spend_microusd.month"]["resets_at"] == "2026-12-01T00:00:00Z"
    assert set(limits) >= {"build.haiku-4.5.requests.1m", "build.opus-5.requests.1m"}
    assert service.http.get("/limits").json()["code"] == "key_missing"


def test_health_says_ready_and_how_level(service: Service) -> None:
    report = service.http.get("/health").json()

    assert report["ready"] is True
    assert report["portal"] == "following"
    assert report["records"] == 3
    assert report["counters"] == "local"
    assert report["log_problem"] is None


def test_health_is_503_before_there_is_a_state(clock: ManualClock, tmp_path: Path) -> None:
    portal = FakePortal(clock=clock)
    portal.is_down = True
    service = Service(portal, clock, tmp_path / "state")
    try:
        answer = service.http.get("/health")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert service.check("x").status_code == 503
    finally:
        service.close()


def test_metrics_count_decisions_by_code(service: Service, secret: str) -> None:
    service.check(secret)
    service.check(None)

    text = service.http.get("/metrics").text

    assert 'plimsoll_decisions_total{code="allowed"} 1' in text
    assert 'plimsoll_decisions_total{code="key_missing"} 1' in text
    assert "plimsoll_portal_following 1" in text


def test_an_observing_service_passes_and_says_what_it_would_do(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    service = Service(portal, clock, tmp_path / "state", observe=True)
    key = portal.add_key(portal.add_org("build"), state="paused")
    service.level()
    try:
        answer = service.check(key.secret)
        assert (answer.status_code, answer.headers["X-Plimsoll-Observed"]) == (200, "key_paused")
        assert service.http.get("/health").json()["observing"] is True
    finally:
        service.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/limits", 405), ("GET", "/settle", 405), ("GET", "/checks", 404)],
)
def test_other_addresses_and_methods_are_refused(
    service: Service, method: str, path: str, status: int
) -> None:
    assert service.http.request(method, path).status_code == status


def test_the_sample_catalogue_is_what_the_portal_publishes() -> None:
    assert CATALOG["format"] == 1


def test_a_check_that_passes_tells_of_a_tightening_ahead(service: Service) -> None:
    key = service.portal.add_key(service.portal.add_org("build"))
    row = {"tier": "build", "model": "sonnet-5", "metric": "requests", "kind": "bucket"}
    change = {"rows": [{**row, "period": 60, "quota": 7}]}
    number = service.portal.announce(change, effective_in=30 * 86_400)
    service.level()

    answer = service.check(key.secret)

    assert answer.status_code == 200
    assert answer.headers["Plimsoll-Limit-Change"].startswith(f"{number};effective=@")
    assert answer.headers["Link"].endswith(f'/changelog/{number}>; rel="describedby"')


def test_health_says_that_an_entry_is_not_understood(service: Service) -> None:
    service.portal.log("change.postponed", {"change": 1})
    service.portal.sign()
    service.level()

    report = service.http.get("/health").json()

    assert (report["ready"], report["log_problem"]) == (True, "entry_not_understood")
    assert "plimsoll_log_trusted 0" in service.http.get("/metrics").text


def test_limits_say_what_is_announced_and_nothing_where_nothing_is(service: Service) -> None:
    key = service.portal.add_key(service.portal.add_org("build"))
    service.level()
    headers = {"x-api-key": key.secret}
    before = service.http.get("/limits", headers=headers)
    cell = {"tier": "build", "metric": "requests", "kind": "bucket", "period": 60}
    rows = [{**cell, "model": "sonnet-5", "quota": 60}, {**cell, "model": "opus-5", "quota": None}]
    service.portal.announce({"rows": rows}, effective_in=40 * 86_400)
    service.level()

    answer = service.http.get("/limits", headers=headers)

    assert set(before.json()) == {"limits"}
    assert "Plimsoll-Limit-Change" not in before.headers
    assert [
        (each["limit"], each["change"], each["quota"]) for each in answer.json()["announced"]
    ] == [
        ("build.opus-5.requests.1m", 2, None),
        ("build.sonnet-5.requests.1m", 2, 60),
    ]
    assert answer.headers["Plimsoll-Limit-Change"].startswith("2;effective=@")
