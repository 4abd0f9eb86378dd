"""`plimsoll gateway` as a process: it starts, stops, and starts again without its portal."""

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plimsoll.testing import FakeKey, FakePortal, SystemClock
from tests.library.rig import CATALOG, small_catalog
from tests.support.check_service import Process
from tests.support.product import eventually
from tests.support.valkey import Valkey

pytestmark = pytest.mark.processes


@pytest.fixture
def portal() -> FakePortal:
    made = FakePortal(clock=SystemClock(), heartbeat=1)
    made.publish(CATALOG)
    return made


@pytest.fixture
def key(portal: FakePortal) -> FakeKey:
    return portal.add_key(portal.add_org("build"))


@pytest.fixture
def url(portal: FakePortal, key: FakeKey) -> Iterator[str]:
    with portal.serve() as served:
        yield served


def requests_used(process: Process, key: FakeKey) -> int:
    limits = process.get("/limits", x_api_key=key.secret).json()["limits"]
    used: int = next(
        each["used"] for each in limits if each["limit"] == "build.sonnet-5.output_tokens.1m"
    )
    return used


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_two_seconds_with_its_counters_saved(
    url: str, key: FakeKey, tmp_path: Path, how: signal.Signals
) -> None:
    process = Process(url, tmp_path)
    process.wait_until(200)
    headers = {"x_api_key": key.secret, "X_Model": "sonnet-5", "X_Max_Tokens": "900000"}
    assert process.get("/check", **headers).status_code == 200

    seconds, status, said = process.stop(how)

    assert seconds < 2
    assert status == 0
    assert "Traceback" not in said
    assert "without --max-stale" in said
    again = Process("http://127.0.0.1:9", tmp_path)
    again.wait_until(200)
    assert requests_used(again, key) > 700_000
    assert again.get("/check", **headers).status_code == 429
    again.stop()


def test_a_kill_loses_at_most_the_last_second(url: str, key: FakeKey, tmp_path: Path) -> None:
    process = Process(url, tmp_path)
    process.wait_until(200)
    process.get("/check", x_api_key=key.secret, X_Model="sonnet-5", X_Max_Tokens="900000")
    time.sleep(1.3)
    process.stop(signal.SIGKILL)

    again = Process("http://127.0.0.1:9", tmp_path)
    again.wait_until(200)

    assert requests_used(again, key) > 600_000
    again.stop()


def test_with_its_store_deleted_and_its_portal_away_it_is_not_ready(
    url: str, key: FakeKey, tmp_path: Path
) -> None:
    process = Process(url, tmp_path)
    process.wait_until(200)
    process.stop()
    shutil.rmtree(tmp_path / "state")

    again = Process("http://127.0.0.1:9", tmp_path)
    again.wait_until(503)

    answer = again.get("/check", x_api_key=key.secret)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    again.stop()


@pytest.mark.long
def test_two_processes_over_one_server_together_admit_what_one_would(
    tmp_path: Path, valkey: Valkey
) -> None:
    portal = FakePortal(clock=SystemClock(), heartbeat=1)
    portal.publish(small_catalog({"kind": "window", "period": 86_400, "quota": 7}))
    key = portal.add_key(portal.add_org("build"))
    with portal.serve() as url, contextlib.ExitStack() as stack:
        made = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            made.append(Process(url, tmp_path / name, "--counters", valkey.url))
            stack.callback(made[-1].stop, signal.SIGKILL)
        for process in made:
            process.wait_until(200)
            eventually(
                lambda process=process: process.get("/health").json()["counters"] == "shared"
            )

        statuses = [
            process.get("/check", x_api_key=key.secret, X_Model="m").status_code
            for _ in range(6)
            for process in made
        ]

        assert statuses == [200] * 7 + [429] * 5
        for process in made:
            limits = process.get("/limits", x_api_key=key.secret).json()["limits"]
            assert [each["used"] for each in limits] == [7]


@pytest.mark.parametrize(
    "more",
    [
        ["--listen", "nonsense"],
        ["--token-file", "/nowhere"],
        ["--deny-status", "200"],
        ["--max-stale", "-1"],
        ["--trusted-proxies", "x"],
        ["--counters", "http://localhost"],
    ],
)
def test_an_option_that_cannot_be_is_said_in_one_line(tmp_path: Path, more: list[str]) -> None:
    process = Process("http://127.0.0.1:9", tmp_path, *more)

    status, said = process.wait()

    assert status == 2
    assert "Traceback" not in said
