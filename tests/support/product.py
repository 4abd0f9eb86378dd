"""The whole product as real processes, started as a person starts it."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.support.worlds import TOP

START_SECONDS = 60.0
LINES = 3
PORTS = range(12_000, 30_000)


def free_port() -> int:
    """A port for one process after the other: nobody else gets it while this run lasts.

    Below those that connections are given, or one of these would sit there after a kill; and kept
    by a name that only one process can have, so that two runs at once do not meet.
    """
    while True:
        port = secrets.choice(PORTS)
        name = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError), socket.socket() as probe:
            name.bind(f"\0plimsoll-test-port-{port}")
            probe.bind(("127.0.0.1", port))
            name.detach()
            return port
        name.close()


def eventually(check: Any, *, seconds: float = 10.0) -> Any:
    """What `check()` gives once it is true; it is asked until `seconds` are over."""
    gives_up_at = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < gives_up_at:
        time.sleep(0.02)
    assert found, f"not within {seconds} seconds"
    return found


class Product:
    """`python app.py` with its data in a folder; started again, it has the same data and ports."""

    def __init__(self, data: Path, *, database_url: str | None = None) -> None:
        self.data = data
        self.database_url = database_url or f"sqlite:///{data / 'portal.db'}"
        self.port, self.api_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PORTAL_")}
        ports = {"PORT": str(self.port), "API_PORT": str(self.api_port)}
        places = {"PORTAL_DATA": str(self.data), "PORTAL_DATABASE_URL": self.database_url}
        return {**kept, **ports, **places}

    def launch(self, *parts: str) -> "Started":
        """Start `python app.py`, or one part of it, and wait until it answers."""
        said = self.data.with_name(f"said-{len(self._running)}.txt")
        started = Started.launch([sys.executable, "app.py", *parts], self.environment, said)
        self._running.append(started.process)
        if parts == ("api",):
            eventually(lambda: is_open(self.api_port), seconds=START_SECONDS)
        else:
            started.wait_for_lines(LINES)
        return started

    def call(self, key: str, *, words: int = 1, model: str = "fable-5", **fields: Any) -> Any:
        """One call of the demo API."""
        body = {"model": model, "max_tokens": 10, **fields}
        body["messages"] = [{"role": "user", "content": "a " * words}]
        headers = {"Authorization": f"Bearer {key}"}
        return httpx2.post(f"{self.api_url}/v1/messages", json=body, headers=headers, timeout=10)

    def status(self, key: str) -> int:
        return int(self.call(key).status_code)

    def close(self) -> None:
        for process in self._running:
            for child in children(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            process.kill()
            process.wait()


class Started:
    """One process of ours, and what it said."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    @classmethod
    def launch(cls, command: list[str], environment: dict[str, str], said: Path) -> "Started":
        with said.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=TOP,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(process, said)

    @property
    def said(self) -> list[str]:
        return self._output.read_text(encoding="utf-8").splitlines()

    def wait_for_lines(self, count: int) -> None:
        eventually(
            lambda: len(self.said) >= count or self.process.poll() is not None,
            seconds=START_SECONDS,
        )
        assert self.process.poll() is None, self.said

    def press_ctrl_c(self) -> float:
        """What a terminal does on Ctrl-C; returns how many seconds the end took."""
        before = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(20)
        return time.monotonic() - before

    def kill(self) -> list[int]:
        """Kill -9, this process alone; returns the children that it leaves behind."""
        left = children(self.process.pid)
        self.process.kill()
        self.process.wait()
        return left


def children(pid: int) -> list[int]:
    """The processes that a process has started (Linux)."""
    with contextlib.suppress(OSError):
        return [
            int(child)
            for path in Path(f"/proc/{pid}/task").glob("*/children")
            for child in path.read_text(encoding="ascii").split()
        ]
    return []


def is_open(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
