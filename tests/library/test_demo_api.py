"""The demo API behind its gate, over a real socket."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from examples.demo_api import ANSWER_TOKENS, BODY_BYTES_MAX, guarded
from plimsoll.gateway import Gateway
from plimsoll.serving import Server
from plimsoll.testing import FakeKey, FakePortal, ManualClock

ASK = {
    "model": "sonnet-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi there"}],
}


@pytest.fixture
def key(portal: FakePortal) -> FakeKey:
    return portal.add_key(portal.add_org("build"))


@pytest.fixture
def gateway(
    portal: FakePortal, clock: ManualClock, key: FakeKey, tmp_path: Path
) -> Iterator[Gateway]:
    made = Gateway(
        tmp_path / "state",
        portal_url=portal.url,
        token=portal.token,
        clock=clock,
        transport=portal.transport(),
    )
    with made:
        for _ in range(2000):
            if made.replica.is_ready:
                break
            made._stop.wait(0.005)
        yield made


@pytest.fixture
def http(gateway: Gateway, key: FakeKey) -> Iterator[httpx2.Client]:
    server = Server(guarded(gateway), host="127.0.0.1", port=0)
    headers = {"Authorization": f"Bearer {key.secret}"}
    with httpx2.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        yield client
    server.close()


def output_used(gateway: Gateway, key: FakeKey) -> int:
    # The caller has the last byte a moment before the gate hears that the answer is complete.
    for _ in range(2000):
        if not gateway.enforcer.unsettled:
            break
        gateway._stop.wait(0.005)
    limits = gateway.enforcer.limits(key.secret).limits
    return next(each.used for each in limits if each.name == "build.sonnet-5.output_tokens.1m")


def test_the_front_says_what_it_is_to_anybody(http: httpx2.Client) -> None:
    answer = http.get("/", headers={"Authorization": ""})

    assert answer.status_code == 200
    assert answer.json()["post"] == "/v1/messages"


def test_a_message_is_answered_with_its_usage_and_limits(
    http: httpx2.Client, gateway: Gateway, key: FakeKey
) -> None:
    answer = http.post("/v1/messages", json=ASK)

    assert answer.status_code == 200
    assert answer.json()["usage"] == {"input_tokens": 2, "output_tokens": ANSWER_TOKENS}
    assert "build.sonnet-5.requests.1m" in answer.headers["RateLimit-Policy"]
    assert output_used(gateway, key) == ANSWER_TOKENS


def test_max_tokens_cuts_the_answer(http: httpx2.Client) -> None:
    answer = http.post("/v1/messages", json={**ASK, "max_tokens": 3}).json()

    assert answer["usage"]["output_tokens"] == 3
    assert answer["content"][0]["text"] == "The line on"


def test_a_streamed_message_comes_as_events(
    http: httpx2.Client, gateway: Gateway, key: FakeKey
) -> None:
    answer = http.post("/v1/messages", json={**ASK, "max_tokens": 3, "stream": True})

    events = [line for line in answer.text.splitlines() if line.startswith("event: ")]
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert events == [
        "event: message_start",
        *["event: content_block_delta"] * 3,
        "event: message_stop",
    ]
    assert output_used(gateway, key) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b"\xff", None),
        (b"{}", "model"),
        (b'{"model":7,"max_tokens":1,"messages":[{"content":"x"}]}', "model"),
        (b'{"model":"m","max_tokens":0,"messages":[{"content":"x"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":true,"messages":[{"content":"x"}]}', "max_tokens"),
        (b'{"model":"m","messages":[{"content":"x"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":1}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":[]}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":["x"]}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":[{"content":7}]}', "messages"),
    ],
)
def test_a_body_that_cannot_be_read_is_400_and_costs_nothing(
    http: httpx2.Client, gateway: Gateway, key: FakeKey, body: bytes, field: str | None
) -> None:
    answer = http.post("/v1/messages", content=body)

    assert (answer.status_code, answer.json().get("field")) == (400, field)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {each.used for each in gateway.enforcer.limits(key.secret).limits} == {0}


def test_fields_that_it_does_not_know_are_fine(http: httpx2.Client) -> None:
    assert http.post("/v1/messages", json={**ASK, "temperature": 0.7}).status_code == 200


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 10_000_000])
def test_a_body_that_is_too_large_is_413(http: httpx2.Client, size: int) -> None:
    answer = http.post("/v1/messages", content=b" " * size)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/messages", 405), ("GET", "/nowhere", 404), ("POST", "/", 405)],
)
def test_other_addresses_and_methods_are_refused(
    http: httpx2.Client, method: str, path: str, status: int
) -> None:
    assert http.request(method, path).status_code == status


def test_a_revoked_key_is_refused_by_the_next_call(
    http: httpx2.Client, gateway: Gateway, portal: FakePortal, key: FakeKey
) -> None:
    assert http.post("/v1/messages", json=ASK).status_code == 200

    portal.revoke(key.id)
    for _ in range(2000):
        if gateway.replica.head and gateway.replica.head.revision == portal.revision:
            break
        gateway._stop.wait(0.005)

    answer = http.post("/v1/messages", json=ASK)
    assert (answer.status_code, answer.json()["code"]) == (401, "key_revoked")
