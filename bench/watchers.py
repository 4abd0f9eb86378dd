"""Two thousand idle watchers of one sync process: what each costs it in memory, and at each change in work."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import keep
from bench.world import World, make
from portal.core.db import transaction
from portal.keys.commands import pause_key, resume_key
from portal.keys.models import ApiKey
from tests.support.databases import PostgresServer
from tests.support.sync_process import SyncProcess
from tests.support.watchers import Watcher, Watchers, stream

WATCHERS = 2000
AT_ONCE = 100
CHANGES = 40
CHANGES_PER_SECOND = 10


def main() -> None:
    postgres = PostgresServer(is_durable=True)
    try:
        with TemporaryDirectory() as folder:
            world = make(Path(folder) / "world", threads=8, url=postgres.create().url)
            keep("watchers", _measure(world, Path(folder)))
    finally:
        postgres.close()


def _measure(world: World, folder: Path) -> dict[str, object]:
    key, _ = world.issue(1)[0]
    token = world.enrol("gw")
    process = SyncProcess(world.settings, folder)
    process.launch()
    (server,) = process.workers
    try:
        with Watchers(process.port, stream(token), count=50) as few:
            few.wait_for(_is_level)  # all that a process keeps at its first use, it now has
            empty, work = rss_kib(server), cpu_seconds(server)
            idle = _idle(few, server, seconds=4)
            with Watchers(process.port, stream(token), count=0) as watchers:
                for _ in range(WATCHERS // AT_ONCE):
                    watchers.add(AT_ONCE)
                    watchers.wait_for(_is_level, seconds=60)
                opened = cpu_seconds(server) - work
                full = rss_kib(server)
                alone = _idle(watchers, server, seconds=12)
                changed, slowest = _changes(watchers, server, lambda: change(world, key))
                after = rss_kib(server)
    finally:
        process.kill()
    spread = CHANGES / CHANGES_PER_SECOND
    per_change = (changed - alone * spread) / CHANGES / WATCHERS
    return {
        "watchers": f"{WATCHERS:,}, opened {AT_ONCE} at a time",
        "memory per watcher": f"{(full - empty) / WATCHERS:.1f} KiB",
        "memory per watcher after the changes": f"{(after - empty) / WATCHERS:.1f} KiB",
        "processor per watcher and change": f"{per_change * 1e6:.1f} µs",
        "processor to open a stream": f"{opened / WATCHERS * 1e3:.2f} ms",
        "processor of 50 idle watchers": f"{idle * 100:.1f} %",
        "processor of all, idle (heartbeats)": f"{alone * 100:.1f} %",
        "a change heard by all, at the slowest": f"{slowest * 1000:.0f} ms",
    }


def _is_level(watcher: Watcher) -> bool:
    return watcher.heard["commit"] > 1


def _idle(watchers: Watchers, server: int, *, seconds: float) -> float:
    """Processor seconds a second."""
    before, began = cpu_seconds(server), time.monotonic()
    while time.monotonic() < began + seconds:
        watchers.read(seconds=0.2)
    return (cpu_seconds(server) - before) / (time.monotonic() - began)


def _changes(watchers: Watchers, server: int, change: Callable[[], None]) -> tuple[float, float]:
    """Processor seconds of all changes, and the longest that one took to be heard by all."""
    before, slowest = cpu_seconds(server), 0.0
    for _ in range(CHANGES):
        began = time.monotonic()
        heard = {id(watcher): watcher.heard["commit"] for watcher in watchers.all}
        change()
        watchers.wait_for(lambda watcher, heard=heard: watcher.heard["commit"] > heard[id(watcher)])
        slowest = max(slowest, time.monotonic() - began)
        while time.monotonic() < began + 1 / CHANGES_PER_SECOND:
            watchers.read(seconds=0.01)
    return cpu_seconds(server) - before, slowest


def change(world: World, key: str) -> None:
    with world.sessions() as session, transaction(session):
        row = session.get_one(ApiKey, key, with_for_update=True)
        act = pause_key if row.paused_at is None else resume_key
        act(session, actor=world.owner, key=row)


def rss_kib(pid: int) -> int:
    """Memory of a process that is its own (Linux)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "Swap:")))


def resident_kib(pid: int, name: str = "VmRSS") -> int:
    """All memory that a process has, now or (`VmHWM`) at most so far (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def cpu_seconds(pid: int) -> float:
    """What a process has spent of processors, by the scheduler's own count (Linux)."""
    return sum(cpu_seconds_by_thread(pid))


def cpu_seconds_by_thread(pid: int) -> list[float]:
    """The same for each of its threads, the oldest first."""
    threads = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name))
    return [int((each / "schedstat").read_text("ascii").split()[0]) / 1e9 for each in threads]


if __name__ == "__main__":
    main()
