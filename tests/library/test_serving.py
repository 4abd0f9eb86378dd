"""The server of the check service."""

import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx2

from plimsoll.serving import Server


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def test_a_request_is_answered_though_proxies_keep_many_connections_open() -> None:
    server = Server(hello, host="127.0.0.1", port=0, threads=2)
    address = urlsplit(server.url)
    with ExitStack() as stack:
        stack.callback(server.close)
        for _ in range(150):
            stack.enter_context(socket.create_connection((address.hostname, address.port)))

        answer = httpx2.get(server.url, timeout=5)

    assert answer.text == "hello"
