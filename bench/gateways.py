"""Two hundred gateways on this machine at ten changes a second: from a revocation to its refusal at every one.

The portal as it is run when it has grown: PostgreSQL, pages in one process, `/sync/` in one of its own. The
gateways are real ones, in a few processes: each has a store on disk, a verified log, and reports each commit.
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
from bench.watchers import change, cpu_seconds
from bench.world import TOP, World, make
from portal.core.db import transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from tests.support.databases import PostgresServer
from tests.support.sync_process import SyncProcess

GATEWAYS, PROCESSES = 200, 4
CHANGES_PER_SECOND = 10
REVOCATIONS = 60
READY_SECONDS = 120.0
PATIENCE_SECONDS = 30.0


def main() -> None:
    postgres = PostgresServer()
    try:
        with TemporaryDirectory() as folder:
            url = postgres.create().url
            world = make(Path(folder) / "world", threads=8, url=url)
            keep("gateways", _measure(world, Path(folder)))
            world.sessions.kw["bind"].dispose()
    finally:
        postgres.close()


def _measure(world: World, folder: Path) -> dict[str, object]:
    keys = world.issue(REVOCATIONS)
    (changing, _), *_ = world.issue(1)
    acts: list[float] = []
    with ExitStack() as stack:
        process = SyncProcess(world.settings, folder)
        stack.callback(process.kill)
        process.launch()
        (server,) = process.workers
        fleets = [
            stack.enter_context(_fleet(world, process.url, folder / f"fleet-{number}"))
            for number in range(PROCESSES)
        ]
        for fleet in fleets:
            fleet.ready()
        alone = _revoke_all(world, fleets, keys[: REVOCATIONS // 2], changing=None, acts=acts)
        spent, began = cpu_seconds(server), time.monotonic()
        busy = _revoke_all(world, fleets, keys[REVOCATIONS // 2 :], changing=changing, acts=acts)
        share = (cpu_seconds(server) - spent) / (time.monotonic() - began)
    return {
        "gateways": f"{GATEWAYS} in {PROCESSES} processes, beside PostgreSQL and the portal",
        "revoked to refused, at the first": percentiles([min(each) for each in alone]),
        "revoked to refused, at every one": percentiles([max(each) for each in alone]),
        f"at {CHANGES_PER_SECOND} changes a second, at the first": percentiles(
            [min(each) for each in busy]
        ),
        f"at {CHANGES_PER_SECOND} changes a second, at every one": percentiles(
            [max(each) for each in busy]
        ),
        "of this the act and its commit": percentiles(acts),
        "processor of the sync process meanwhile": f"{share * 100:.0f} %",
    }


def _revoke_all(
    world: World,
    fleets: list["Fleet"],
    keys: list[tuple[str, str]],
    *,
    changing: str | None,
    acts: list[float],
) -> list[list[float]]:
    """Seconds from each revocation's begin to its refusal, by gateway, while another key changes.

    `acts` gets what the act itself took, with its commit.
    """
    over = threading.Event()
    other = threading.Thread(target=_change_on, args=(world, changing, over))
    if changing:
        other.start()
    try:
        return [_revoke(world, fleets, key=key, acts=acts) for key in keys]
    finally:
        over.set()
        if changing:
            other.join()


def _change_on(world: World, key: str, over: threading.Event) -> None:
    while not over.wait(1 / CHANGES_PER_SECOND):
        change(world, key)


def _revoke(
    world: World, fleets: list["Fleet"], *, key: tuple[str, str], acts: list[float]
) -> list[float]:
    key_id, secret = key
    for fleet in fleets:
        fleet.watch(secret)
    began = time.monotonic()
    with world.sessions() as session, transaction(session):
        row = session.get_one(ApiKey, key_id, with_for_update=True)
        revoke_key(session, actor=world.owner, key=row, reason="Bench.")
    acts.append(time.monotonic() - began)
    return [instant - began for fleet in fleets for instant in fleet.refused()]


class Fleet:
    """Some of the gateways, in a process of their own; instants are of the machine's monotonic clock."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def ready(self) -> None:
        assert self._hear() == "ready"

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


@contextmanager
def _fleet(world: World, url: str, folder: Path) -> Iterator[Fleet]:
    count = GATEWAYS // PROCESSES
    tokens = [world.enrol(f"{folder.name}-{each}") for each in range(count)]
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
