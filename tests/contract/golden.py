"""Keeps what a release says on the wire: `python -m tests.contract.golden RELEASE`.

Both sides of later releases are tested against these files, so they are written once, from the code that
is released, and never again. What they hold follows from `world.py` and `replay.py` alone.
"""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
from flask import Flask

from plimsoll.contract.records import WIRE_VERSION
from portal.config import Settings
from portal.core import clock as core_clock
from portal.core.db import Sessions
from portal.sync.views import hub_of
from tests.contract.replay import CALLS, SNAPSHOT, STREAM, gate
from tests.contract.world import World, dumps, folder_of, without_chance
from tests.support.clocks import ManualClock
from tests.support.wire import Copy, Wire, enrol
from tests.support.worlds import Worlds, make_settings, opened

# Whole seconds on the wire, and as short as they can be.
HEARTBEAT_SECONDS = 0.6
STORE_BYTES = 65_536


def make(
    app: Flask, sessions: Sessions, settings: Settings, clock: ManualClock
) -> dict[str, bytes]:
    """What today's code says, by name of file. The database is migrated and empty."""
    world = World(app, sessions, settings, clock)
    wire = Wire(app, enrol(sessions))
    with without_chance():
        world.begin()
        files = {SNAPSHOT: b"".join(_in_order(wire.get().data.splitlines(keepends=True)))}
        world.go_on()
    files[STREAM] = b"".join(_in_order(_stream(app, wire, files[SNAPSHOT])))
    files["secrets.json"] = dumps(world.secrets)
    client = app.test_client()
    files["entries.ndjson"] = client.get("/log/entries").data
    files["checkpoint.txt"] = client.get("/log/checkpoint").data
    files["limits.json"] = client.get("/limits.json").data
    decisions, sent = decide(files)
    files["decisions.json"] = dumps(decisions)
    # What was used is told at its end: by then the portal's clock is there too.
    clock.advance(days=100)
    files["exchanges.json"] = dumps([_exchange(wire, *each) for each in _requests(sent)])
    return files


def decide(files: Mapping[str, bytes]) -> tuple[list[dict[str, Any]], dict[str, list[bytes]]]:
    """What today's gateway makes of a release's bytes: each call with its answer, and what it then sends."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("plimsoll.store.Store.size_bytes", return_value=STORE_BYTES),
        mock.patch("plimsoll.__version__", "golden"),
        gate(files, Path(folder) / "state") as asked,
    ):
        asked.follow()
        table = [{"call": call, "answer": asked.decide(**call)} for call in CALLS]
        asked.tell()
        return table, asked.recorded.sent


def post(wire: Wire, what: str, body: str) -> tuple[int, Any]:
    """Status and answer of today's portal to a body of any release."""
    answer = wire.app.test_client().post(
        f"/sync/v1/{what}",
        data=body.encode(),
        headers=wire.headers(),
        content_type="application/json",
    )
    return answer.status_code, answer.get_json()


def read(release: str) -> dict[str, bytes]:
    """The files of a release."""
    return {path.name: path.read_bytes() for path in sorted(folder_of(release).iterdir())}


def releases() -> list[str]:
    """All that are kept, oldest first."""
    names = [path.name for path in folder_of("x").parent.iterdir() if path.is_dir()]
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])


def _stream(app: Flask, wire: Wire, snapshot: bytes) -> Iterator[bytes]:
    copy = Copy()
    for line in snapshot.splitlines(keepends=True):
        copy.take(line)
    hub_of(app).heartbeat_seconds = HEARTBEAT_SECONDS
    for line in wire.stream(copy.cursor):
        yield line
        if line.startswith(b'{"t":"heartbeat"'):
            hub_of(app).stop()


def _in_order(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The records of each batch sorted: their order means nothing, and databases have their own."""
    puts: list[bytes] = []
    for line in lines:
        if line.startswith(b'{"t":"put"'):
            puts.append(line)
            continue
        yield from sorted(puts)
        puts.clear()
        yield line


def _requests(sent: Mapping[str, list[bytes]]) -> Iterator[tuple[str, str]]:
    """Every report and batch, then each way in which a batch is not taken."""
    for what, bodies in sorted(sent.items()):
        yield from ((what, body.decode()) for body in bodies)
    batch = orjson.loads(sent["usage"][-1])
    changed: list[dict[str, Any]] = [
        {},  # again
        {"seq": batch["seq"] + 5},  # a gap
        {"seq": batch["seq"] + 1, "rows": [["key_nobody", "m", {"requests": 1}, 60]]},
        {"seq": batch["seq"] + 1},  # the refused one again
        {"boot": 3, "seq": 1, "rows": [], "counters": []},
        {},  # an older boot
    ]
    for fields in changed:
        yield "usage", orjson.dumps({**batch, **fields}).decode()


def _exchange(wire: Wire, what: str, body: str) -> dict[str, Any]:
    status, answer = post(wire, what, body)
    return {"what": what, "request": body, "status": status, "answer": answer}


def main(release: str) -> None:
    """Write the folder of a release."""
    from portal.factory import create_app

    folder = folder_of(release)
    if folder.exists():
        sys.exit(f"{folder} is there already: what a release has said does not change.")
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as place, core_clock.running(clock):
        worlds = Worlds(Path(place) / "worlds")
        with worlds.copy("sqlite", "empty", Path(place) / "data") as database:
            settings = make_settings(database, Path(place) / "data")
            with opened(settings) as sessions:
                files = make(create_app(settings, sessions=sessions), sessions, settings, clock)
        worlds.close()
    folder.mkdir(parents=True)
    for name, content in {**files, "release.json": dumps({"wire_version": WIRE_VERSION})}.items():
        (folder / name).write_bytes(content)
    sys.stdout.write(f"{folder}: {len(files) + 1} files\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
