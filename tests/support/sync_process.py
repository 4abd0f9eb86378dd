"""The sync API in processes of its own, as an operator starts it: gunicorn with gevent, on PostgreSQL."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx2

from portal.config import Settings
from tests.support.product import START_SECONDS, Started, children, eventually, free_port

COMMAND = (sys.executable, "-m", "gunicorn", "-c", "python:portal.serve_sync", "app:sync")
END_SECONDS = 20


class SyncProcess:
    """gunicorn with `workers`; ended, it can be launched again at its old address."""

    def __init__(self, settings: Settings, folder: Path, **variables: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._said = folder / f"sync-{self.port}.txt"
        self._environment = environment(settings) | variables
        self._started: Started | None = None

    def launch(self, *, workers: int = 1) -> None:
        """Start, and wait until it listens and its workers answer."""
        address = ["--bind", f"127.0.0.1:{self.port}", "--workers", str(workers)]
        self._started = Started.launch([*COMMAND, *address], self._environment, self._said)
        # The port is open long before: gunicorn's first process listens, then its workers load.
        eventually(
            lambda: self._process.poll() is not None or self._answers(), seconds=START_SECONDS
        )
        assert self._process.poll() is None, self.said

    @property
    def said(self) -> list[str]:
        return self._said.read_text(encoding="utf-8").splitlines()

    @property
    def workers(self) -> list[int]:
        """The ids of the processes that serve."""
        return children(self._process.pid)

    def terminate(self) -> None:
        """SIGTERM; does not wait."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> float:
        """Seconds until it has ended."""
        before = time.monotonic()
        self._process.wait(END_SECONDS)
        return time.monotonic() - before

    def kill(self) -> None:
        """Kill -9, with its workers."""
        if self._started is not None:
            with suppress(ProcessLookupError):  # all have ended
                os.killpg(self._process.pid, signal.SIGKILL)  # it leads a group of its own
            self._process.wait()
            self._started = None

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=1).is_success
        except httpx2.HTTPError:
            return False

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        assert self._started is not None, "not launched"
        return self._started.process


def environment(settings: Settings) -> dict[str, str]:
    """The variables that say what `settings` say, for processes beside the test's own."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PORTAL_")}
    return kept | {
        "PORTAL_DATABASE_URL": settings.database_url,
        "PORTAL_DATA": str(settings.data),
        "PORTAL_SECRET_KEY": settings.secret_key,
        "PORTAL_URL": settings.url,
    }
