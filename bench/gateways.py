"""Two hundred gateways on this machine at ten changes a second: from a revocation to its refusal at every one.

The portal as it is run when it has grown: PostgreSQL, pages in one process, `/sync/` in one of its own. The
gateways are real ones, each in a process of its own, with a store on disk and a verified log, and they report.
All share this machine's processors, as gateways of a provider do not: what each part spends is said beside it.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import keep, percentiles
from bench.watchers import change, cpu_seconds, cpu_seconds_by_thread
from bench.world import TOP, World, make
from portal.core.db import transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.sync.queries import get_receipt
from tests.support.databases import PostgresServer
from tests.support.sync_process import SyncProcess

FLEETS = (50, 200)
CHANGES_PER_SECOND = 10
REVOCATIONS = 60
# Between two revocations, so that each meets a fleet that has reported the last one.
REST_SECONDS = 1.0
PATIENCE_SECONDS = 30.0
# A gateway's threads, in the order in which they start.
THREADS = ("asked by the bench", "reports", "usage", "following")


def main() -> None:
    postgres = PostgresServer(is_durable=True)
    result: dict[str, object] = {}
    try:
        with TemporaryDirectory() as folder:
            for count in FLEETS:
                place = Path(folder) / str(count)
                world = make(place / "world", threads=8, url=postgres.create().url)
                result |= _measure(world, place, count=count)
                world.sessions.kw["bind"].dispose()
    finally:
        postgres.close()
    keep("gateways", result)


def _measure(world: World, folder: Path, *, count: int) -> dict[str, object]:
    keys = world.issue(REVOCATIONS)
    (changing, _), *_ = world.issue(1)
    half = REVOCATIONS // 2
    acts: list[float] = []
    with ExitStack() as stack:
        process = SyncProcess(world.settings, folder)
        stack.callback(process.kill)
        process.launch()
        fleet = stack.enter_context(_fleet(world, process.url, folder / "fleet", count=count))
        spent = fleet.spent() | {"sync process": _spent_by(process)}
        alone = [_revoke(world, fleet, key=key, acts=acts) for key in keys[:half]]
        after = fleet.spent() | {"sync process": _spent_by(process)}
        busy = _revoke_while(world, fleet, keys[half:], changing=changing, acts=acts)
        time.sleep(REST_SECONDS)
    each = {name: (after[name] - spent[name]) / half for name in spent}
    name = f"{count} gateways"
    return {
        f"{name}: revoked to refused, at the first": percentiles([min(each) for each in alone]),
        f"{name}: revoked to refused, at every one": percentiles([max(each) for each in alone]),
        f"{name}: committed to the last line of the receipt": percentiles(
            _receipts(world, keys[:half])
        ),
        f"{name}: at {CHANGES_PER_SECOND} changes a second, at every one": percentiles(
            [max(each) for each in busy]
        ),
        f"{name}: at {CHANGES_PER_SECOND} changes a second, the receipt": percentiles(
            _receipts(world, keys[half:])
        ),
        f"{name}: of this the act and its commit": percentiles(acts),
        f"{name}: processor seconds a revocation, of all": {
            part: round(seconds, 3) for part, seconds in each.items()
        },
    }


def _revoke_while(
    world: World,
    fleet: "Fleet",
    keys: list[tuple[str, str]],
    *,
    changing: str,
    acts: list[float],
) -> list[list[float]]:
    """The same while another key changes all the time."""
    over = threading.Event()
    other = threading.Thread(target=_change_on, args=(world, changing, over))
    other.start()
    try:
        return [_revoke(world, fleet, key=key, acts=acts) for key in keys]
    finally:
        over.set()
        other.join()


def _change_on(world: World, key: str, over: threading.Event) -> None:
    while not over.wait(1 / CHANGES_PER_SECOND):
        change(world, key)


def _revoke(
    world: World, fleet: "Fleet", *, key: tuple[str, str], acts: list[float]
) -> list[float]:
    """Seconds from the revocation's begin to its refusal, by gateway; `acts` gets those of the act itself."""
    key_id, secret = key
    fleet.watch(secret)
    time.sleep(REST_SECONDS)
    began = time.monotonic()
    with world.sessions() as session, transaction(session):
        row = session.get_one(ApiKey, key_id, with_for_update=True)
        revoke_key(session, actor=world.owner, key=row, reason="Bench.")
    acts.append(time.monotonic() - began)
    return [instant - began for instant in fleet.refused()]


def _receipts(world: World, keys: list[tuple[str, str]]) -> list[float]:
    """Seconds until the slowest gateway had said that it knows."""
    with world.sessions() as session:
        receipts = [get_receipt(session, "key", key_id) for key_id, _ in keys]
    assert all(each.is_complete for each in receipts)
    return [float(each.seconds or 0) for each in receipts]


class Fleet:
    """The gateways, forked from a process of their own; instants are of the machine's monotonic clock."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        self._pids: list[int] = json.loads(self._hear())

    def spent(self) -> dict[str, float]:
        """Processor seconds of all of them so far, by what the thread does."""
        each = [cpu_seconds_by_thread(pid) for pid in self._pids]
        return {name: sum(found[place] for found in each) for place, name in enumerate(THREADS)}

    def watch(self, secret: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(secret + "\n")
        self._child.stdin.flush()
        assert self._hear() == "watching"

    def refused(self) -> list[float]:
        found: list[float] = json.loads(self._hear())
        return found

    def _hear(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()


def _spent_by(process: SyncProcess) -> float:
    (server,) = process.workers
    return cpu_seconds(server)


@contextmanager
def _fleet(world: World, url: str, folder: Path, *, count: int) -> Iterator[Fleet]:
    tokens = [world.enrol(f"gw-{each}") for each in range(count)]
    command = [sys.executable, "-m", "bench.fleet", url, str(folder)]
    with subprocess.Popen(
        command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        child.stdin.write(" ".join(tokens) + "\n")
        child.stdin.flush()
        try:
            yield Fleet(child)
        finally:
            child.stdin.close()
            try:
                child.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


if __name__ == "__main__":
    main()
