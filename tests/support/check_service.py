"""`plimsoll gateway` as a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.support.product import free_port
from tests.support.worlds import TOP


class Process:
    """The command, running; its token and its state are in `folder`."""

    def __init__(self, portal_url: str, folder: Path, *more: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        (folder / "token").write_text("the gateway's token:\nplimgw_test\n")
        self._running = subprocess.Popen(
            [
                *(sys.executable, "-m", "plimsoll", "gateway", "--portal", portal_url),
                *("--token-file", str(folder / "token"), "--state", str(folder / "state")),
                *("--listen", self.url.removeprefix("http://"), *more),
            ],
            cwd=TOP,
            env={**os.environ, "PYTHONPATH": str(TOP)},
            stderr=subprocess.PIPE,
        )

    def get(self, path: str, **headers: str) -> httpx2.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx2.get(self.url + path, headers=fields, trust_env=False)

    def wait_until(self, status: int) -> None:
        """Until /health answers with this status."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx2.TransportError):
                if self.get("/health").status_code == status:
                    return
            time.sleep(0.02)
        pytest.fail(f"/health never was {status}: {self.stop()}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[float, int, str]:
        """Send a signal; answers how long it took, the exit status and what was said."""
        began = time.monotonic()
        self._running.send_signal(how)
        _, said = self._running.communicate(timeout=10)
        return time.monotonic() - began, self._running.returncode, said.decode()

    def wait(self) -> tuple[int, str]:
        """Until it ends by itself; answers the exit status and what was said."""
        _, said = self._running.communicate(timeout=10)
        return self._running.returncode, said.decode()

    def signal(self, what: signal.Signals) -> None:
        self._running.send_signal(what)

    def close(self) -> None:
        """End it, whatever it is doing; once it has ended, nothing."""
        self._running.kill()
        self._running.wait()
        if self._running.stderr is not None:
            self._running.stderr.close()
