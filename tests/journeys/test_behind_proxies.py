"""A real nginx and a real Envoy in front of an API, each with a check service behind it.

Both run the configurations of `examples/`, with other ports; the gateway is `plimsoll gateway`.
"""

import http.server
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import httpx2
import pytest

from examples.behind_proxy import Settling
from examples.demo_api import ANSWER_TOKENS, app
from plimsoll.serving import Server
from plimsoll.testing import FakeKey, FakePortal, SystemClock
from tests.library.rig import small_catalog
from tests.support.check_service import Process
from tests.support.product import eventually
from tests.support.proxies import OPTIONS, PROXIES

pytestmark = [pytest.mark.processes, pytest.mark.long]

CALLS, OUTPUT = 3, 500
NOWHERE = "http://127.0.0.1:9"
CATALOG = small_catalog(
    {"quota": CALLS, "period": 3600},
    {"metric": "output_tokens", "quota": OUTPUT},
)
POLICY = f'"build.m.output_tokens.1m";q={OUTPUT};w=60, "build.m.requests.1h";q={CALLS};w=3600'


class Upstream:
    """The API behind the proxy, which notes what reaches it; `/status/N` answers N."""

    def __init__(self, check: str) -> None:
        self.seen: list[dict[str, Any]] = []
        self._settling = Settling(app, check)
        self._server = Server(self, host="127.0.0.1", port=0)
        self.port = int(self._server.url.rpartition(":")[2])

    def __call__(self, environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.seen.append(dict(environ))
        if not environ["PATH_INFO"].startswith("/status/"):
            return self._settling(environ, start_response)
        status = environ["PATH_INFO"].rpartition("/")[2]
        start_response(f"{status} Said", [("Content-Type", "text/plain")])
        return [b"the API's own words"]

    def told(self, name: str) -> str | None:
        """One header of the last request that reached it."""
        found: str | None = self.seen[-1].get("HTTP_" + name.upper().replace("-", "_"))
        return found

    def close(self) -> None:
        self._server.close()
        self._settling.close()


class Raw(http.server.BaseHTTPRequestHandler):
    """An API on a server that keeps every header as it came."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(str(self.headers))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Street(NamedTuple):
    """All that stands between a caller and the API, and the portal beside it."""

    name: str
    portal: FakePortal
    service: Process
    upstream: Upstream
    http: httpx2.Client

    def key(self, **fields: object) -> FakeKey:
        """A key of a new organisation, known at the gate."""
        made = self.portal.add_key(self.portal.add_org("build"), **fields)
        self.level()
        return made

    def level(self) -> None:
        eventually(lambda: f".{self.portal.revision}." in (self.health()["cursor"] or ""))

    def health(self) -> dict[str, Any]:
        report: dict[str, Any] = self.service.get("/health").json()
        return report

    def call(self, secret: str | None, **headers: str) -> httpx2.Response:
        fields = {"X-Model": "m", "X-Max-Tokens": "100"} | named(headers)
        if secret is not None:
            fields["Authorization"] = f"Bearer {secret}"
        body = {"model": "m", "max_tokens": 100, "messages": [{"content": "hi there"}]}
        return self.http.post("/v1/messages", json=body, headers=fields)

    def used(self, key: FakeKey, limit: str) -> int:
        meters = self.service.get("/limits", x_api_key=key.secret).json()["limits"]
        return int(next(each["used"] for each in meters if each["limit"] == limit))


def named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in headers.items()}


@contextmanager
def built(proxy: str, folder: Path, *, is_up: bool = True) -> Iterator[Street]:
    """The street as it stands in production, but for the portal; it may never have been up."""
    with ExitStack() as last:
        portal = FakePortal(clock=SystemClock(), heartbeat=1)
        portal.publish(CATALOG)
        address = last.enter_context(portal.serve()) if is_up else NOWHERE
        service = Process(address, folder, *OPTIONS[proxy])
        last.callback(service.close)
        service.wait_until(200 if is_up else 503)
        upstream = Upstream(service.url)
        last.callback(upstream.close)
        check = int(service.url.rpartition(":")[2])
        url = last.enter_context(PROXIES[proxy](folder, check=check, api=upstream.port))
        http = last.enter_context(httpx2.Client(base_url=url, trust_env=False, timeout=20))
        yield Street(proxy, portal, service, upstream, http)


@pytest.fixture(scope="module", params=list(PROXIES))
def street(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    with built(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture(params=list(PROXIES))
def own_street(request: pytest.FixtureRequest, tmp_path: Path):
    """One of the test's own, to break."""
    with built(request.param, tmp_path) as made:
        yield made


def test_an_admitted_request_arrives_with_its_names_and_returns_with_its_limits(street: Street):
    key = street.key()

    answer = street.call(key.secret)

    assert answer.status_code == 200
    assert answer.json()["usage"]["output_tokens"] == ANSWER_TOKENS
    assert answer.headers["RateLimit-Policy"] == POLICY
    assert answer.headers["RateLimit"].startswith('"build.m.requests.1h";r=2;t=')
    assert street.upstream.told("X-Plimsoll-Decision").startswith("dec_")
    assert street.upstream.told("X-Plimsoll-Key") == key.id
    assert street.upstream.told("X-Plimsoll-Org").startswith("org_")
    assert street.upstream.told("X-Plimsoll-Environment") == "live"
    assert street.upstream.told("X-Client-IP") == "127.0.0.1"


def test_the_key_ends_at_the_proxy(street: Street):
    key = street.key()

    street.call(key.secret)
    bearer = dict(street.upstream.seen[-1])
    street.call(None, x_api_key=key.secret)

    assert key.secret not in str(bearer) + str(street.upstream.seen[-1])


def test_past_the_limit_it_is_429_with_all_its_fields_and_the_problem(street: Street):
    key = street.key()
    for _ in range(CALLS):
        assert street.call(key.secret).status_code == 200
    arrived = len(street.upstream.seen)

    answer = street.call(key.secret)

    assert answer.status_code == 429
    assert 1100 < int(answer.headers["Retry-After"]) <= 1200
    assert answer.headers["RateLimit"].startswith('"build.m.requests.1h";r=0;t=')
    assert answer.headers["RateLimit-Policy"] == POLICY
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    problem = answer.json()
    assert (problem["code"], problem["limit"]) == ("limit_exceeded", "build.m.requests.1h")
    assert -(-problem["retry_after_ms"] // 1000) == int(answer.headers["Retry-After"])
    assert len(street.upstream.seen) == arrived


def test_the_body_of_a_refusal_is_the_services_own(street: Street):
    key = street.key()
    for _ in range(CALLS):
        street.call(key.secret)

    through = street.call(key.secret).json()
    bearer = {"Authorization": f"Bearer {key.secret}", "X-Model": "m", "X-Max-Tokens": "100"}
    straight = httpx2.get(f"{street.service.url}/check", headers=bearer, trust_env=False).json()

    assert set(through) == set(straight)
    assert through["detail"].split(" fits at ")[0] == straight["detail"].split(" fits at ")[0]


@pytest.mark.parametrize(
    ("fields", "headers", "status", "code"),
    [
        ({"state": "paused"}, {}, 403, "key_paused"),
        ({"state": "revoked"}, {}, 401, "key_revoked"),
        ({"expires_at": 1_700_000_000}, {}, 401, "key_expired"),
        ({"models": ["n"]}, {}, 403, "model_not_allowed"),
        ({"networks": ["192.0.2.0/24"]}, {}, 403, "network_not_allowed"),
        ({}, {"X-Max-Tokens": "501"}, 413, "request_too_large"),
        ({}, {"X-Max-Tokens": "many"}, 422, "field_invalid"),
    ],
)
def test_each_refusal_has_its_true_status_and_body(
    street: Street, fields: dict[str, object], headers: dict[str, str], status: int, code: str
):
    key = street.key(**fields)
    arrived = len(street.upstream.seen)

    answer = street.call(key.secret, **headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(street.upstream.seen) == arrived


@pytest.mark.parametrize("secret", [None, "plim_live_mistyped", FakeKey("", "sk-other").secret])
def test_who_is_nobody_is_401_with_a_challenge(street: Street, secret: str | None):
    answer = street.call(secret)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] == ("key_missing" if secret is None else "key_malformed")


def test_a_suspended_organisation_is_403(street: Street):
    org = street.portal.add_org("build", state="suspended")
    key = street.portal.add_key(org)
    street.level()

    answer = street.call(key.secret)

    assert (answer.status_code, answer.json()["code"]) == (403, "org_suspended")


def test_a_caller_cannot_name_another_organisation_or_decision(street: Street, tmp_path: Path):
    """Under either spelling: many servers read X_Plimsoll_Org as X-Plimsoll-Org."""
    ours = ("Decision", "Org", "Key", "Environment", "Observed", "Status", "Problem")
    names = [f"X-Plimsoll-{name}" for name in ours]
    lies = dict.fromkeys([*names, *(name.replace("-", "_") for name in names)], "a lie")
    fields = {"X-Model": "m", "X-Max-Tokens": "100", "x-api-key": street.key().secret}
    check = int(street.service.url.rpartition(":")[2])

    with (
        http.server.HTTPServer(("127.0.0.1", 0), Raw) as api,
        PROXIES[street.name](tmp_path, check=check, api=api.server_port) as url,
    ):
        api.timeout = 20
        thread = threading.Thread(target=api.handle_request)
        thread.start()
        answer = httpx2.get(url, headers={**fields, **lies}, trust_env=False, timeout=20)
        thread.join()

    assert answer.status_code == 204
    assert "dec_" in Raw.seen[-1]
    assert "a lie" not in Raw.seen[-1]


@pytest.mark.parametrize("name", ["X-Client-IP", "X-Forwarded-For", "X_Client_IP", "X-Real-IP"])
def test_a_caller_cannot_say_where_it_calls_from(street: Street, name: str):
    elsewhere, here = street.key(networks=["192.0.2.0/24"]), street.key(networks=["127.0.0.0/8"])

    answers = [
        street.http.post(
            "/v1/messages", headers={"x-api-key": key.secret, "X-Model": "m", name: "192.0.2.7"}
        )
        for key in (elsewhere, here)
    ]

    assert answers[0].json()["code"] == "network_not_allowed"
    assert answers[1].headers["Content-Type"] == "application/problem+json"
    assert answers[1].json()["code"] == "body_malformed"


def test_what_the_api_used_is_settled(street: Street):
    key = street.key()

    street.call(key.secret)

    limit = "build.m.output_tokens.1m"
    assert eventually(lambda: (used := street.used(key, limit)) < 100 and used) <= ANSWER_TOKENS


def test_a_model_in_the_body_that_was_not_asked_about_is_refused_by_the_api(street: Street):
    key = street.key()

    answer = street.call(key.secret, X_Max_Tokens="1")

    assert (answer.status_code, answer.json()["code"]) == (400, "fields_differ")
    assert "RateLimit" in answer.headers


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_the_apis_own_errors_go_through_untouched(street: Street, status: int):
    fields = {"x-api-key": street.key().secret, "X-Model": "m", "X-Max-Tokens": "1"}

    answer = street.http.get(f"/status/{status}", headers=fields)

    assert (answer.status_code, answer.text) == (status, "the API's own words")
    assert answer.headers["RateLimit-Policy"] == POLICY


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_every_method_is_asked_about(street: Street, method: str):
    arrived = len(street.upstream.seen)

    refused = street.http.request(method, "/status/200?x=1", headers={"X-Model": "m"})
    fields = {"x-api-key": street.key().secret, "X-Model": "m", "X-Max-Tokens": "1"}
    admitted = street.http.request(method, "/status/200?x=1", headers=fields)

    assert (refused.status_code, admitted.status_code) == (401, 200)
    assert [each["QUERY_STRING"] for each in street.upstream.seen[arrived:]] == ["x=1"]


@pytest.mark.parametrize("path", ["/.plimsoll/check", "/check", "/settle", "/health"])
def test_nobody_reaches_the_service_through_the_proxy(street: Street, path: str):
    """Without a key there is no answer of the service but its refusal."""
    answer = street.http.get(path)

    assert answer.status_code == (404 if street.name == "nginx" and path[1] == "." else 401)


def test_a_tightening_ahead_is_told_through_the_proxy(own_street: Street):
    key = own_street.key()
    row = {"tier": "build", "model": "m", "metric": "requests", "kind": "bucket", "period": 3600}
    change = {"rows": [{**row, "quota": 2}]}
    number = own_street.portal.announce(change, effective_in=30 * 86_400)
    own_street.level()

    answer = own_street.call(key.secret)

    assert answer.headers["Plimsoll-Limit-Change"].startswith(f"{number};effective=@")
    assert f"/changelog/{number}>" in answer.headers["Link"]


def test_without_the_service_nobody_passes(own_street: Street):
    key = own_street.key()
    own_street.service.close()

    answer = own_street.call(key.secret)

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "1"
    assert own_street.upstream.seen == []


def test_a_service_that_hangs_is_as_one_that_is_away(own_street: Street):
    key = own_street.key()
    own_street.service.signal(signal.SIGSTOP)
    began = time.monotonic()

    answer = own_street.call(key.secret)

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert time.monotonic() - began < 5
    assert own_street.upstream.seen == []


@pytest.mark.parametrize("proxy", list(PROXIES))
def test_a_service_without_state_is_503(proxy: str, tmp_path: Path):
    with built(proxy, tmp_path, is_up=False) as street:
        answer = street.call("plim_live_x")

        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.headers["Content-Type"] == "application/problem+json"
