"""A guard around any WSGI application.

It asks the enforcer about each request, answers refusals itself as problem details, adds the
RateLimit fields to every answer, and settles when the answer is complete, aborted or failed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from plimsoll.decision import Decision
from plimsoll.enforcer import Enforcer
from plimsoll.headers import PROBLEM_TYPE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DECISION = "plimsoll.decision"
USAGE = "plimsoll.usage"

_CLIENT_ERRORS = 400
_SERVER_ERRORS = 500

_Write: TypeAlias = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Described:
    """What the enforcer has to know of a request; see `Enforcer.check`."""

    model: str | None = None
    input_tokens: int = 0
    max_tokens: int | None = None


@dataclass(slots=True)
class Usage:
    """What a request took, filled in by the application while it answers.

    The guard puts one into `environ["plimsoll.usage"]`. Tokens that are still None when the answer
    ends stand as they were admitted: an application that does not count opens no gate. Only an
    answer of 400 or above then counts no output.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    spend_microusd: int | None = None


class Rejected(Exception):
    """Raised by `describe` when a request is wrong before any limit is asked, as 400 or 413."""

    def __init__(self, status: int, problem: dict[str, object]) -> None:
        super().__init__(str(problem.get("detail", status)))
        self.status = status
        self.problem = problem


Describe: TypeAlias = "Callable[[WSGIEnvironment], Described]"
ClientIp: TypeAlias = "Callable[[WSGIEnvironment], str | None]"


class GuardMiddleware:
    """Lets through what the enforcer allows.

    `describe` finds model and tokens of a request and may raise `Rejected`; one that reads the
    body puts a fresh stream back into `environ["wsgi.input"]`. `client_ip` finds the caller's
    address, by default the peer's. `is_open` says which requests pass without a key, such as a
    health check.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        enforcer: Enforcer,
        *,
        describe: Describe = lambda environ: Described(),  # noqa: ARG005 - the default finds nothing
        client_ip: ClientIp = lambda environ: environ.get("REMOTE_ADDR"),
        is_open: "Callable[[WSGIEnvironment], bool]" = lambda environ: False,  # noqa: ARG005
    ) -> None:
        self._app = app
        self._enforcer = enforcer
        self._describe = describe
        self._client_ip = client_ip
        self._is_open = is_open

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        if self._is_open(environ):
            return self._app(environ, start_response)
        secret, client_ip = secret_of(environ), self._client_ip(environ)
        refused = self._enforcer.refusal(secret, client_ip=client_ip)
        if refused is not None:
            return _refuse(start_response, refused)
        try:
            asked = self._describe(environ)
        except Rejected as rejected:
            return _answer(start_response, rejected.status, rejected.problem)
        decision = self._enforcer.check(
            secret,
            model=asked.model,
            input_tokens=asked.input_tokens,
            max_tokens=asked.max_tokens,
            client_ip=client_ip,
        )
        if not decision:
            return _refuse(start_response, decision)
        return self._pass_on(environ, start_response, decision)

    def _pass_on(
        self, environ: "WSGIEnvironment", start_response: "StartResponse", decision: Decision
    ) -> Iterable[bytes]:
        usage = environ[USAGE] = Usage()
        environ[DECISION] = decision
        answer = _Answer(start_response, self._enforcer, decision, usage=usage)
        try:
            answer.body = self._app(environ, answer.start)
        except BaseException:
            answer.settle(failed=True)
            raise
        return answer


class _Answer:
    """The application's answer on its way; settles exactly once, when it is closed."""

    def __init__(
        self,
        start_response: "StartResponse",
        enforcer: Enforcer,
        decision: Decision,
        *,
        usage: Usage,
    ) -> None:
        self.body: Iterable[bytes] = ()
        self._start_response = start_response
        self._enforcer = enforcer
        self._decision = decision
        self._usage = usage
        self._status = 0
        self._has_failed = False

    def start(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: Any = None,
    ) -> _Write:
        """`start_response` as the application sees it."""
        self._status = int(status.split(" ", 1)[0])
        own = self._decision.headers()
        if exc_info is None:
            return self._start_response(status, [*headers, *own])
        return self._start_response(status, [*headers, *own], exc_info)

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.body
        except GeneratorExit:
            raise
        except BaseException:
            self._has_failed = True
            raise

    def close(self) -> None:
        """Called by every WSGI server when the answer ends, also when the caller went away."""
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            self.settle(failed=self._has_failed or self._status >= _SERVER_ERRORS)

    def settle(self, *, failed: bool) -> None:
        """Tell the enforcer what was used."""
        usage = self._usage
        if usage.output_tokens is None and self._status >= _CLIENT_ERRORS:
            usage.output_tokens = 0
        self._enforcer.settle(
            self._decision.id,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            spend_microusd=usage.spend_microusd,
            failed=failed,
        )


def secret_of(environ: "WSGIEnvironment") -> str | None:
    """The key in `Authorization: Bearer` or `x-api-key`; None when neither is there."""
    scheme, _, secret = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return str(secret.strip())
    return environ.get("HTTP_X_API_KEY") or None


def _refuse(start_response: "StartResponse", decision: Decision) -> list[bytes]:
    problem = decision.problem()
    return _answer(start_response, decision.status, problem, headers=decision.headers())


def _answer(
    start_response: "StartResponse",
    status: int,
    problem: dict[str, object],
    *,
    headers: Sequence[tuple[str, str]] = (),
) -> list[bytes]:
    body = orjson.dumps(problem)
    own = [("Content-Type", PROBLEM_TYPE), ("Content-Length", str(len(body)))]
    own.append(("Cache-Control", "no-store"))
    start_response(f"{status} {HTTPStatus(status).phrase}", [*own, *headers])
    return [body]
