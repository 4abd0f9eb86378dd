"""The WSGI guard around an application, called as a server would call it."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import orjson
import pytest

from plimsoll.middleware.wsgi import (
    DECISION,
    USAGE,
    Described,
    GuardMiddleware,
    Rejected,
    secret_of,
)
from tests.library.rig import Rig

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Call:
    """One request, answered as far as it was read."""

    def __init__(self, guard: GuardMiddleware, secret: str | None, **environ: object) -> None:
        self.environ: dict[str, Any] = {
            "REMOTE_ADDR": "192.0.2.1",
            "QUERY_STRING": "",
            **environ,
        }
        if secret is not None:
            self.environ["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
        setup_testing_defaults(self.environ)
        self.status = ""
        self.headers: dict[str, str] = {}
        self.body = validator(guard)(self.environ, self._start)  # type: ignore[arg-type]

    def _start(self, status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        self.status, self.headers = status, dict(headers)
        return lambda _: None

    def read(self) -> bytes:
        try:
            return b"".join(self.body)
        finally:
            self.close()

    def close(self) -> None:
        self.body.close()  # type: ignore[attr-defined]


def answering(status: str = "200 OK", *, output_tokens: int | None = 5) -> App:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[USAGE].output_tokens = output_tokens
        start_response(status, [("Content-Type", "text/plain")])
        return [b"an answer"]

    return app


def streaming(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])

    def words() -> Iterator[bytes]:
        for count in range(1, 100):
            environ[USAGE].output_tokens = count
            yield b"word "

    return words()


def describe(environ: dict[str, Any]) -> Described:
    return Described(model="sonnet-5", input_tokens=3, max_tokens=500)


@pytest.fixture
def secret(rig: Rig) -> str:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    return key.secret


def output_used(rig: Rig, secret: str) -> int:
    limits = rig.enforcer.limits(secret).limits
    return next(each.used for each in limits if each.name == "build.sonnet-5.output_tokens.1m")


def test_an_admitted_request_is_answered_with_its_limits_and_settled(rig: Rig, secret: str) -> None:
    guard = GuardMiddleware(answering(), rig.enforcer, describe=describe)  # type: ignore[arg-type]

    call = Call(guard, secret)

    assert call.read() == b"an answer"
    assert call.status == "200 OK"
    assert "build.sonnet-5.requests.1m" in call.headers["RateLimit-Policy"]
    assert call.environ[DECISION].environment == "live"
    assert output_used(rig, secret) == 5


def test_a_refused_request_never_reaches_the_application(rig: Rig) -> None:
    guard = GuardMiddleware(lambda *_: pytest.fail("it was called"), rig.enforcer)

    call = Call(guard, None)

    assert orjson.loads(call.read())["code"] == "key_missing"
    assert call.status == "401 Unauthorized"
    assert call.headers["Content-Type"] == "application/problem+json"


def test_a_caller_who_is_nobody_is_refused_before_the_body_is_read(rig: Rig) -> None:
    guard = GuardMiddleware(
        answering(),  # type: ignore[arg-type]
        rig.enforcer,
        describe=lambda _: pytest.fail("the body was read"),
    )

    call = Call(guard, "plim_live_nobody")

    assert orjson.loads(call.read())["code"] == "key_malformed"
    assert sum(rig.enforcer.tally.values()) == 1


def test_a_stream_that_the_caller_leaves_is_settled_with_what_was_produced(
    rig: Rig, secret: str
) -> None:
    guard = GuardMiddleware(streaming, rig.enforcer, describe=describe)  # type: ignore[arg-type]
    call = Call(guard, secret)
    words = iter(call.body)
    for _ in range(7):
        next(words)
    assert output_used(rig, secret) == 500

    call.close()

    assert output_used(rig, secret) == 7


def test_a_stream_read_to_its_end_is_settled_with_all_of_it(rig: Rig, secret: str) -> None:
    guard = GuardMiddleware(streaming, rig.enforcer, describe=describe)  # type: ignore[arg-type]

    Call(guard, secret).read()

    assert output_used(rig, secret) == 99


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Service Unavailable"])
def test_a_failure_of_the_application_costs_nothing(rig: Rig, secret: str, status: str) -> None:
    guard = GuardMiddleware(answering(status), rig.enforcer, describe=describe)  # type: ignore[arg-type]

    Call(guard, secret).read()

    assert {each.used for each in rig.enforcer.limits(secret).limits} == {0}


def test_an_application_that_breaks_costs_nothing(rig: Rig, secret: str) -> None:
    def breaks(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise RuntimeError("broken")

    guard = GuardMiddleware(breaks, rig.enforcer, describe=describe)  # type: ignore[arg-type]

    with pytest.raises(RuntimeError):
        Call(guard, secret)

    assert {each.used for each in rig.enforcer.limits(secret).limits} == {0}


def test_an_application_that_does_not_count_opens_no_gate(rig: Rig, secret: str) -> None:
    app = answering(output_tokens=None)
    guard = GuardMiddleware(app, rig.enforcer, describe=describe)  # type: ignore[arg-type]

    Call(guard, secret).read()

    assert output_used(rig, secret) == 500


def test_a_request_that_the_application_refuses_counts_no_output(rig: Rig, secret: str) -> None:
    app = answering("404 Not Found", output_tokens=None)
    guard = GuardMiddleware(app, rig.enforcer, describe=describe)  # type: ignore[arg-type]

    Call(guard, secret).read()

    assert output_used(rig, secret) == 0


def test_a_request_that_describe_rejects_costs_nothing(rig: Rig, secret: str) -> None:
    def rejects(environ: dict[str, Any]) -> Described:
        raise Rejected(400, {"code": "body_malformed", "status": 400})

    guard = GuardMiddleware(answering(), rig.enforcer, describe=rejects)  # type: ignore[arg-type]

    call = Call(guard, secret)

    assert orjson.loads(call.read())["code"] == "body_malformed"
    assert call.status == "400 Bad Request"
    assert {each.used for each in rig.enforcer.limits(secret).limits} == {0}


def test_what_is_open_passes_without_a_key(rig: Rig) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"healthy"]

    guard = GuardMiddleware(app, rig.enforcer, is_open=lambda _: True)  # type: ignore[arg-type]

    assert Call(guard, None).read() == b"healthy"


def test_the_peers_address_is_held_against_the_keys_networks(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"), networks=["192.0.2.0/24"])
    rig.level()
    guard = GuardMiddleware(answering(), rig.enforcer, describe=describe)  # type: ignore[arg-type]

    assert Call(guard, key.secret).read() == b"an answer"
    call = Call(guard, key.secret, REMOTE_ADDR="198.51.100.1")
    assert orjson.loads(call.read())["code"] == "network_not_allowed"


@pytest.mark.parametrize(
    ("environ", "secret"),
    [
        ({"HTTP_AUTHORIZATION": "Bearer abc"}, "abc"),
        ({"HTTP_AUTHORIZATION": "bearer  abc "}, "abc"),
        ({"HTTP_X_API_KEY": "abc"}, "abc"),
        ({"HTTP_AUTHORIZATION": "Basic abc"}, None),
        ({"HTTP_AUTHORIZATION": "Bearer "}, None),
        ({}, None),
    ],
)
def test_a_key_is_found_in_either_header(environ: dict[str, str], secret: str | None) -> None:
    assert secret_of(environ) == secret  # type: ignore[arg-type]


def test_the_body_is_still_there_for_the_application(rig: Rig, secret: str) -> None:
    def reads(environ: dict[str, Any]) -> Described:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = io.BytesIO(body)
        return Described(model=orjson.loads(body)["model"])

    def echoes(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]

    guard = GuardMiddleware(echoes, rig.enforcer, describe=reads)  # type: ignore[arg-type]
    body = b'{"model":"sonnet-5"}'

    call = Call(
        guard,
        secret,
        REQUEST_METHOD="POST",
        CONTENT_LENGTH=str(len(body)),
        **{"wsgi.input": io.BytesIO(body)},
    )

    assert call.read() == body
