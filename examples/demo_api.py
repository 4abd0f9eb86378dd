"""A small metered API behind plimsoll: what a provider's own service looks like when guarded.

`POST /v1/messages` takes `model`, `max_tokens` and `messages` and answers with words and a token
count; with `"stream": true` it answers word by word as server-sent events. A token here is a
word: what stands between spaces. It invents its answers, but everything around them is real.

    python -m examples.demo_api --portal http://127.0.0.1:5000 --token-file token --state state
"""

import argparse
import io
import itertools
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

# By path, as well as by `-m`, from a checkout that is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from plimsoll.cli import read_token
from plimsoll.gateway import Gateway
from plimsoll.headers import PROBLEM_TYPE
from plimsoll.middleware.wsgi import USAGE, Described, GuardMiddleware, Rejected, Usage
from plimsoll.serving import parse_listen, serve_until_stopped

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BODY_BYTES_MAX = 1_000_000
MAX_TOKENS_MAX = 1_000_000_000
ANSWER_TOKENS = 24
REQUEST = "demo.request"

_METHODS = {"/": {"GET", "HEAD"}, "/v1/messages": {"POST"}}

_ANSWER = (
    "The line on the hull shows how deep she may be loaded, and anyone on the quay can read it."
)


class Request(NamedTuple):
    """A message request, checked."""

    model: str
    max_tokens: int
    input_tokens: int
    is_streamed: bool


def describe(environ: "WSGIEnvironment") -> Described:
    """What the guard has to know, read from the JSON body; the body is put back."""
    body = _body(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    request = environ[REQUEST] = _parse(body)
    return Described(request.model, request.input_tokens, request.max_tokens)


def is_open(environ: "WSGIEnvironment") -> bool:
    """Everything but the metered address needs no key."""
    return bool(environ["PATH_INFO"] != "/v1/messages" or environ["REQUEST_METHOD"] != "POST")


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """The API itself, which knows nothing of limits; it only says what it used."""
    methods = _METHODS.get(environ["PATH_INFO"])
    if methods is None:
        return _problem(start_response, "404 Not Found", "not_found")
    if environ["REQUEST_METHOD"] not in methods:
        return _problem(start_response, "405 Method Not Allowed", "method_not_allowed")
    if environ["PATH_INFO"] == "/":
        return _json(start_response, "200 OK", _ABOUT)
    request, usage = environ[REQUEST], environ[USAGE]
    usage.output_tokens = 0
    if request.is_streamed:
        headers = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
        start_response("200 OK", headers)
        return _events(request, usage)
    words = list(_answer(request))
    usage.output_tokens = len(words)
    return _json(start_response, "200 OK", _message(request, " ".join(words), len(words)))


def guarded(gateway: Gateway) -> GuardMiddleware:
    """The API behind the gate."""
    return GuardMiddleware(app, gateway.enforcer, describe=describe, is_open=is_open)


def main(arguments: list[str] | None = None) -> int:
    """Serve the guarded API until told to stop."""
    options = _options(arguments)
    logging.basicConfig(level=logging.WARNING, format="demo API: %(message)s")
    gateway = Gateway(
        options.state,
        portal_url=options.portal,
        token=lambda: read_token(options.token_file),
        brand=options.brand,
    )
    host, port = parse_listen(options.listen)
    with gateway:
        serve_until_stopped(guarded(gateway), host=host, port=port)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo_api", description=__doc__.split("\n")[0])
    environ = os.environ
    for name, default, text in (
        ("portal", "http://127.0.0.1:5000", "address of the portal"),
        ("token-file", "gateway-token", "file that holds this gateway's token"),
        ("state", "gateway-state", "folder for this gateway's copy of the state"),
        ("brand", "plim", "what API keys begin with"),
        ("listen", "127.0.0.1:8100", "HOST:PORT to listen on"),
    ):
        variable = "DEMO_API_" + name.replace("-", "_").upper()
        parser.add_argument(
            f"--{name}", default=environ.get(variable, default), help=f"{text} ({variable})"
        )
    return parser.parse_args(arguments)


def _body(environ: "WSGIEnvironment") -> bytes:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise _rejected(413, "body_too_large", f"A body has at most {BODY_BYTES_MAX:,} bytes.")
    body: bytes = environ["wsgi.input"].read(int(length))
    return body


def _parse(body: bytes) -> Request:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _rejected(400, "body_malformed", "The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise _rejected(400, "body_malformed", "The body is not a JSON object.")
    model, max_tokens = fields.get("model"), fields.get("max_tokens")
    if not isinstance(model, str) or not model:
        raise _rejected(400, "field_invalid", "Name a `model`.", field="model")
    if type(max_tokens) is not int or not 1 <= max_tokens <= MAX_TOKENS_MAX:
        text = f"`max_tokens` is a whole number from 1 to {MAX_TOKENS_MAX:,}."
        raise _rejected(400, "field_invalid", text, field="max_tokens")
    input_tokens = sum(map(_count, _texts(fields.get("messages"))))
    return Request(model, max_tokens, input_tokens, bool(fields.get("stream")))


def _texts(messages: object) -> Iterator[str]:
    text = "`messages` is a list of objects, each with a `content` that is a text."
    if not isinstance(messages, list) or not messages:
        raise _rejected(400, "field_invalid", text, field="messages")
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str):
            raise _rejected(400, "field_invalid", text, field="messages")
        yield content


def _count(text: str) -> int:
    return len(text.split())


def _answer(request: Request) -> Iterator[str]:
    return itertools.islice(
        itertools.cycle(_ANSWER.split()), min(request.max_tokens, ANSWER_TOKENS)
    )


def _events(request: Request, usage: Usage) -> Iterator[bytes]:
    yield _event("message_start", _message(request, "", 0))
    for usage.output_tokens, word in enumerate(_answer(request), 1):
        yield _event("content_block_delta", {"delta": {"type": "text_delta", "text": f"{word} "}})
    yield _event("message_stop", _message(request, "", usage.output_tokens or 0))


def _event(name: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


def _message(request: Request, text: str, output_tokens: int) -> dict[str, Any]:
    return {
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [{"type": "text", "text": text}],
        "usage": {"input_tokens": request.input_tokens, "output_tokens": output_tokens},
    }


def _rejected(status: int, code: str, detail: str, **more: str) -> Rejected:
    problem = {"type": f"/problems/{code}", "title": detail, "status": status, "code": code}
    return Rejected(status, {**problem, "detail": detail, **more})


def _json(start_response: "StartResponse", status: str, value: object) -> list[bytes]:
    body = orjson.dumps(value)
    length = str(len(body))
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", length)])
    return [body]


def _problem(start_response: "StartResponse", status: str, code: str) -> list[bytes]:
    number, _, title = status.partition(" ")
    body = orjson.dumps(
        {"type": f"/problems/{code}", "title": title, "status": int(number), "code": code}
    )
    start_response(status, [("Content-Type", PROBLEM_TYPE), ("Content-Length", str(len(body)))])
    return [body]


_ABOUT = {
    "name": "Plimsoll demo API",
    "about": "A small metered API behind plimsoll. Issue a key in the portal, then post here.",
    "post": "/v1/messages",
    "fields": {"model": "a model's slug", "max_tokens": 64, "messages": [{"content": "…"}]},
    "tokens": "A token is a word: what stands between spaces.",
}

if __name__ == "__main__":
    sys.exit(main())
