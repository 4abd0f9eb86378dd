"""The portal under its real server: how it ends, and what a full house of watchers leaves to pages."""

import json
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import httpx2
import pytest

from portal.serve import Server
from tests.support.product import eventually
from tests.support.wire import enrol

THREADS = 4

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def settings(settings):
    """As many threads as the server has: watchers may take half of them."""
    return replace(settings, threads=THREADS)


@pytest.fixture
def server(app):
    running = Server(app, host="127.0.0.1", port=0, threads=THREADS)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
def watch(url, sessions, catalog):
    """Open a stream as a gateway does; its lines are heard in a thread."""
    headers = {"Authorization": f"Bearer {enrol(sessions)}", "Sync-Version": "1"}

    def watch() -> tuple[list[dict], threading.Thread]:
        heard: list[dict] = []

        def listen() -> None:
            address = f"{url}/sync/v1/state?stream=1"
            with httpx2.stream("GET", address, headers=headers, timeout=30) as answer:
                heard.append({"t": str(answer.status_code)})
                heard.extend(json.loads(line) for line in answer.iter_lines())

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        eventually(lambda: heard)
        return heard, thread

    return watch


def test_at_a_stop_every_stream_hears_bye_within_two_seconds(server, watch):
    heard, thread = watch()
    eventually(lambda: heard[-1]["t"] == "commit")

    before = time.monotonic()
    server.stop()
    thread.join(5)

    assert time.monotonic() - before < 2
    assert heard[-1]["t"] == "bye"
    assert heard[-1]["reason"] == "deploy"


def test_watchers_leave_half_the_threads_to_pages(url, watch):
    watchers = [watch() for _ in range(THREADS // 2)]
    eventually(lambda: all(heard[-1]["t"] == "commit" for heard, _ in watchers))

    refused, _ = watch()

    assert refused[0]["t"] == "503"
    assert httpx2.get(f"{url}/healthz").status_code == 200


def test_a_port_that_is_taken_is_an_error_at_once(app):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Server(app, host="127.0.0.1", port=taken.getsockname()[1], threads=THREADS)


def test_after_a_stop_nobody_answers(server, url):
    server.stop()

    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/healthz")


def test_idle_connections_of_gateways_and_browsers_shut_nobody_out(server, url):
    with ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))

        assert httpx2.get(f"{url}/healthz", timeout=5).status_code == 200
