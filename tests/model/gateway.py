"""The real gateway on a real store, which can be killed between any two of its steps.

A step is a statement to the store, a file made final, a line read, a request sent. What a killed
process leaves is a copy of its folder at that instant; what a power failure leaves is a copy of the
instant of the last sync.
"""

import builtins
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import plimsoll.snapshot
from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.snapshot import Snapshot
from plimsoll.store import Store
from plimsoll.sync import Follower, Standing
from plimsoll.tables import Head, Row, split_put
from plimsoll.testing import ManualClock
from tests.model.baton import Killed, Pause, Wake
from tests.model.wire import Wire

# In memory where there is such a place: thousands of stores are opened and thrown away.
_SHM = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
TOKEN, URL = "plimgw_test", "http://127.0.0.1"


class Disk:
    """A folder, what a power failure would leave of it, and a countdown to a kill."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(dir=_SHM if _SHM.is_dir() else None))
        self.folder = self.root / "state"
        self.synced = self.root / "synced"
        # Steps until the process is killed; None: it is not.
        self.steps_left: int | None = None
        self.is_dead = False
        self.on_sync: Callable[[], None] = lambda: None

    def step(self) -> None:
        """Killed here, perhaps; whoever is dead takes no step more."""
        if self.is_dead:
            raise Killed
        if self.steps_left is None:
            return
        self.steps_left -= 1
        if self.steps_left < 0:
            self.is_dead = True
            self.keep("killed")
            raise Killed

    def sync(self) -> None:
        """What is written now survives a power failure."""
        self.keep("synced")
        self.on_sync()

    def keep(self, name: str) -> None:
        copy = self.root / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("*-shm", "lock"))

    def go_back(self, name: str) -> None:
        """The folder is what was kept under a name; an empty one where nothing was."""
        shutil.rmtree(self.folder, ignore_errors=True)
        copy = self.root / name
        if copy.exists():
            shutil.copytree(copy, self.folder)

    def wipe(self) -> None:
        """A new disk."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.synced, ignore_errors=True)

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


class Stepping:
    """A connection to the store that makes a step of each statement."""

    def __init__(self, inner: Any, step: Callable[[], None]) -> None:
        self._inner, self._step = inner, step

    def execute(self, *given: Any) -> Any:
        self._step()
        return self._inner.execute(*given)

    def executemany(self, *given: Any) -> Any:
        self._step()
        return self._inner.executemany(*given)

    def executescript(self, *given: Any) -> Any:
        self._step()
        return self._inner.executescript(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class ModelStore(Store):
    """A store whose every step may be its last."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk.folder)

    def _connect(self) -> None:
        super()._connect()
        self._write = Stepping(self._write, self._disk.step)  # type: ignore[assignment]

    def sync(self) -> None:
        self._disk.step()
        super().sync()
        self._disk.sync()

    @contextmanager
    def swapping(self) -> Iterator[Path]:
        self._disk.step()
        with super().swapping() as old:
            yield old
            self._disk.step()
        self._disk.sync()

    def rows(self) -> dict[tuple[str, str], bytes]:
        """All that it holds, as a reader with nothing but the file would find it."""
        found: dict[tuple[str, str], bytes] = {}
        with self._read_lock:
            blocks = self._read.execute("SELECT lines FROM block ORDER BY number").fetchall()
            records = self._read.execute("SELECT kind, id, data FROM record").fetchall()
        for (lines,) in blocks:
            for line in lines.split(b"\n"):
                put = Row(*split_put(line))
                found[put.kind, put.id] = put.data
        return found | {(kind, name): data for kind, name, data in records}


class ModelGateway:
    """Store, replica, follower, reporter, sender, enforcer: all real, on one baton."""

    def __init__(self, disk: Disk, wire: Wire, clock: ManualClock) -> None:
        self.baton = wire.baton
        self.store = ModelStore(disk)
        self.replica = Replica(self.store, clock=clock)
        self.follower = Follower(
            self.replica, URL, TOKEN, transport=wire, jitter=lambda _, high: high
        )
        self.enforcer = Enforcer(self.replica, portal_url="https://portal.test")
        # What the follower said of its link, and what of that it ought never to say.
        self.links: list[str] = []
        self.surprises: list[str] = []
        self._disk = disk
        self._take_the_turns()

    def _take_the_turns(self) -> None:
        follower, baton = self.follower, self.baton
        follower._stop = follower.sender._stop = Pause(baton)  # type: ignore[assignment]
        follower.reporter._wake = Wake(baton)  # type: ignore[assignment]
        follower.on_link = self._on_link
        begin = self.replica.snapshot

        def snapshot(epoch: str) -> Snapshot:
            begun = begin(epoch)
            begun._file = Stepping(begun._file, self._disk.step)  # type: ignore[assignment]
            return begun

        self.replica.snapshot = snapshot  # type: ignore[method-assign]
        for run in (follower._run, follower.reporter._run, follower.sender._run):
            baton.start(run)

    def _on_link(self, standing: Standing) -> None:
        self.links.append(standing.reason)
        name = standing.reason.partition(": ")[0]
        if hasattr(builtins, name) or name.startswith(("sqlite3", "Operational", "Integrity")):
            self.surprises.append(standing.reason)

    @property
    def head(self) -> Head | None:
        return self.replica.head

    def end(self) -> None:
        """Nothing of the process is left but its files."""
        self.baton.kill()
        self.follower._portal.close()
        self.store.close()


@contextmanager
def steps_of_files(disk: Disk) -> Iterator[None]:
    """Let the syncing of a snapshot's file be a step too."""
    with pytest.MonkeyPatch.context() as patch:
        sync = plimsoll.snapshot._sync

        def stepping(path: Path) -> None:
            disk.step()
            sync(path)

        patch.setattr(plimsoll.snapshot, "_sync", stepping)
        yield
