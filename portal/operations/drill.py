"""The restore drill: a backup is brought back beside the portal, started, and judged from outside.

It touches neither the portal's data nor its mail: no job runs, so that nothing which waits in the copy's
outbox is sent a second time.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import inspect, make_url, text

from portal.core.db import make_engine
from portal.operations.errors import DrillFailed

HOST = "127.0.0.1"
TOP = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
STEP_SECONDS = 6 * 3600
# What a copy must share with the portal to read what it holds; nothing that reaches other machines.
SHARED = ("PORTAL_SECRET_KEY", "PORTAL_SECRET_KEY_FILE", "PORTAL_BRAND")
Say = Callable[[str], None]
FUNCTIONS = text(
    "SELECT DISTINCT tgfoid::regprocedure::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace"
)


@dataclass(frozen=True)
class Drill:
    """`into`: the address of an empty database, needed for PostgreSQL; else one in a folder that goes again."""

    backup: Path
    say: Say
    into: str | None = None
    log_state: Path | None = None

    def run(self) -> None:
        """Every step, each said with what it took. Raises DrillFailed at the first that does not work."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="plimsoll-drill-") as folder:
            copy = _Copy(Path(folder), self.into, self.say)
            newest = () if self.log_state is None else ("--log-state", str(self.log_state))
            copy.flask("backup", "restore", str(self.backup), *newest)
            try:
                _judge(copy)
            finally:
                # It was empty before, or nothing would have been restored to it.
                if self.into is not None:
                    _empty(self.into)
        self.say(f"The backup restores: {time.monotonic() - began:.1f} s in all.")


def _judge(copy: "_Copy") -> None:
    copy.flask("db", "upgrade")
    if not copy.flask("log", "check", must=False):
        copy.flask("log", "recover")
        copy.flask("log", "check")
    copy.flask("sync", "check")
    copy.flask("journal", "check")
    with copy.started():
        copy.step("verify", [sys.executable, "-m", "plimsoll", "verify", copy.url])


def _empty(url: str) -> None:
    """Drop what a backup brings: tables, and the functions of their triggers."""
    place = make_url(url)
    if place.get_backend_name() == "sqlite":
        for suffix in ("", "-wal", "-shm"):
            Path(f"{place.database}{suffix}").unlink(missing_ok=True)
        return
    engine = make_engine(url)
    try:
        with engine.begin() as link:
            functions = link.scalars(FUNCTIONS).all()
            for name in inspect(link).get_table_names():
                link.execute(text(f'DROP TABLE "{name}" CASCADE'))
            for name in functions:
                link.execute(text(f"DROP FUNCTION {name}"))
    finally:
        engine.dispose()


class _Copy:
    """The restored portal."""

    def __init__(self, folder: Path, into: str | None, say: Say) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            self._port = free.getsockname()[1]
        self.url = f"http://{HOST}:{self._port}"
        self._say = say
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PORTAL_") or name in SHARED
        }
        own = {"PORTAL_DATA": str(folder / "data"), "PORTAL_URL": self.url}
        own |= {} if into is None else {"PORTAL_DATABASE_URL": into}
        # `verify` remembers what it saw; what a drill saw is not to be compared with the portal.
        self._environment = {**kept, **own, "XDG_STATE_HOME": str(folder / "state")}

    def flask(self, *words: str, must: bool = True) -> bool:
        """One command of the portal's own, on the copy."""
        command = [sys.executable, "-m", "flask", "--app", "app", *words]
        return self.step(" ".join(words[:2]), command, must=must)

    def step(self, name: str, command: list[str], *, must: bool = True) -> bool:
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=TOP,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=STEP_SECONDS,
        )
        is_done = done.returncode == 0
        self._say(f"{name}: {'done' if is_done else 'FAILED'}, {time.monotonic() - began:.1f} s")
        for line in (done.stdout + ("" if is_done else done.stderr)).splitlines():
            self._say(f"    {line}")
        if must and not is_done:
            raise DrillFailed(detail=f"{name} failed")
        return is_done

    @contextmanager
    def started(self) -> Iterator[None]:
        """The web server alone, without the jobs."""
        command = [sys.executable, "-m", "waitress", f"--listen={HOST}:{self._port}", "app:app"]
        server = subprocess.Popen(
            command, cwd=TOP, env=self._environment, stderr=subprocess.DEVNULL
        )
        began = time.monotonic()
        try:
            while not self._is_ready():
                if server.poll() is not None or time.monotonic() - began > START_SECONDS:
                    self._say("start: FAILED")
                    raise DrillFailed(detail="the restored portal is not ready")
                time.sleep(0.1)
            self._say(f"start: ready, {time.monotonic() - began:.1f} s")
            yield
        finally:
            server.terminate()
            server.wait(START_SECONDS)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # noqa: S310 -- ours
                return bool(answer.status == 200)  # noqa: PLR2004
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False
