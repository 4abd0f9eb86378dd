"""The demo API behind nginx or Envoy: the proxy asks before a request, the API settles after it.

The proxy sees only fields, so it asks with `X-Model` and `X-Max-Tokens`. Whoever names one model
there and another in the body would pass under the wrong limits; so the API compares, and only
the API can say what an answer took.

    python -m examples.behind_proxy --check http://127.0.0.1:8200 --listen 127.0.0.1:9000
"""

import argparse
import functools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import orjson

# By path, as well as by `-m`, from a checkout that is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples.demo_api import app, describe, is_open
from plimsoll.headers import PROBLEM_TYPE
from plimsoll.middleware.wsgi import USAGE, Described, Rejected, Usage
from plimsoll.serving import parse_listen, serve_until_stopped

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger("behind_proxy")


class Settling:
    """An application whose proxy has asked already: it compares, answers, and settles."""

    def __init__(self, wrapped: "WSGIApplication", check: str) -> None:
        self._wrapped = wrapped
        self._http = httpx2.Client(base_url=check, timeout=2.0, trust_env=False)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        decision = environ.get("HTTP_X_PLIMSOLL_DECISION", "")
        usage = environ[USAGE] = Usage(output_tokens=0)
        try:
            if not is_open(environ):
                _compare(environ, describe(environ), usage)
            body = self._wrapped(environ, start_response)
        except Rejected as rejected:
            body = _refuse(start_response, rejected)
        except BaseException:
            self.settle(decision, usage, failed=True)
            raise
        return _Answer(body, functools.partial(self.settle, decision, usage))

    def settle(self, decision: str, usage: Usage, *, failed: bool = False) -> None:
        """Tell the check service; what it never hears stands as it was reserved."""
        if not decision:
            return
        told: dict[str, Any] = {"decision": decision, "failed": failed}
        told |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        try:
            self._http.post("/settle", json=told).raise_for_status()
        except httpx2.HTTPError as error:
            _log.warning("%s is not settled: %s", decision, error)

    def close(self) -> None:
        """Let go of the connections to the check service."""
        self._http.close()


class _Answer:
    """The answer on its way; `close` is called also when the caller went away half-way."""

    def __init__(self, body: Iterable[bytes], close: Callable[[], None]) -> None:
        self._body = body
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)


def _compare(environ: "WSGIEnvironment", asked: Described, usage: Usage) -> None:
    if "HTTP_X_PLIMSOLL_DECISION" not in environ:
        raise _rejected(403, "not_asked", "This request came around the proxy.")
    told = environ.get("HTTP_X_MODEL"), environ.get("HTTP_X_MAX_TOKENS")
    if told != (asked.model, str(asked.max_tokens)):
        text = "X-Model and X-Max-Tokens say the same as `model` and `max_tokens` of the body."
        raise _rejected(400, "fields_differ", text)
    usage.input_tokens = asked.input_tokens


def _rejected(status: int, code: str, detail: str) -> Rejected:
    problem = {"type": f"/problems/{code}", "title": detail, "status": status, "code": code}
    return Rejected(status, problem)


def _refuse(start_response: "StartResponse", rejected: Rejected) -> list[bytes]:
    body = orjson.dumps(rejected.problem)
    length = str(len(body))
    start_response(
        f"{rejected.status} Refused", [("Content-Type", PROBLEM_TYPE), ("Content-Length", length)]
    )
    return [body]


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="behind_proxy", description=__doc__.split("\n")[0])
    parser.add_argument("--check", default="http://127.0.0.1:8200", help="the check service")
    parser.add_argument("--listen", default="127.0.0.1:9000", help="HOST:PORT to listen on")
    options = parser.parse_args(arguments)
    host, port = parse_listen(options.listen)
    settling = Settling(app, options.check)
    serve_until_stopped(settling, host=host, port=port)
    settling.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
