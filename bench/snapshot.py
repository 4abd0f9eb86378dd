"""A million keys: build the snapshot, send it, store it, and what that takes of the server's memory; then a restart."""

import hashlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from bench.figures import keep
from bench.ingest import database
from bench.watchers import resident_kib
from bench.world import TOP, World, make, serving
from plimsoll.contract import canonical, tokens
from plimsoll.contract.records import digest_hex, digest_of, record_hash
from plimsoll.replica import Replica
from plimsoll.store import Store
from plimsoll.sync import Follower
from portal.core.db import transaction
from portal.core.seal import SyncCommit, SyncRecord
from portal.sync.queries import get_head
from tests.support.product import children
from tests.support.sync_process import SyncProcess

KEYS = 1_000_000
CHUNK = 20_000
RESTARTS = 5
PATIENCE_SECONDS = 120.0
SECRET = tokens.build("plim_live_", "0" * tokens.BODY_LENGTH)


def main(kind: str = "sqlite") -> None:
    with tempfile.TemporaryDirectory() as folder, database(kind) as address:
        world = make(Path(folder) / "world", threads=8, url=address)
        _fill(world)
        token = world.enrol("gw")
        state = Path(folder) / "gateway"
        with _served(world, Path(folder)) as (url, server):
            before = resident_kib(server)
            first, again = _follow(url, token, state), _follow(url, token, Path(folder) / "second")
            peak = resident_kib(server, "VmHWM")
        bare = _bare(world, Path(folder) / "bare.db")
        restarts = [_restart(state) for _ in range(RESTARTS)]
        size = sum(file.stat().st_size for file in state.iterdir())
        world.sessions.kw["bind"].dispose()
    keep(
        "snapshot" if kind == "sqlite" else f"snapshot-{kind}",
        {
            "keys": f"{KEYS:,} on {kind}",
            "built, sent, verified, stored": f"{first:.2f} s",
            "sent from the file made before, verified, stored": f"{again:.2f} s",
            "bare: as many records hashed, and kept in SQLite": f"{bare:.2f} s",
            "ratios to that": f"{first / bare:.1f}, {again / bare:.1f}",
            "memory of the server, before": f"{before // 1024:,} MiB",
            "memory of the server, at most": f"{peak // 1024:,} MiB",
            "memory of this process at most": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:,} MiB",
            "gateway's store": f"{size // 2**20:,} MiB",
            "restart: interpreter and imports": f"{_least(restarts, 'imports_ms'):.0f} ms",
            "restart: store open to the first decision": f"{_least(restarts, 'ready_ms'):.1f} ms",
        },
    )


@contextmanager
def _served(world: World, folder: Path) -> Iterator[tuple[str, int]]:
    """The address, and the process that answers there: of the portal, on PostgreSQL of `/sync/` alone."""
    if world.settings.database_url.startswith("sqlite"):
        with serving(world) as url:
            yield url, children(os.getpid())[-1]
        return
    process = SyncProcess(world.settings, folder)
    try:
        process.launch()
        yield process.url, process.workers[0]
    finally:
        process.kill()


def _least(restarts: list[dict[str, float]], name: str) -> float:
    return min(each[name] for each in restarts)


def _fill(world: World) -> None:
    """Records as the seal writes them. Issued one by one, a million keys would take an hour."""
    hashes: list[bytes] = []

    def rows():
        for number in range(KEYS):
            key_id = f"key_{number:026d}"
            known = tokens.secret_digest(SECRET) if number == 0 else None
            data = canonical.encode(_key(world, key_id, known))
            made = record_hash("key", key_id, data)
            hashes.append(made)
            yield {
                "kind": "key",
                "id": key_id,
                "data": data.decode(),
                "hash": made.hex(),
                "revision": revision,
            }

    with world.sessions() as session, transaction(session):
        head = get_head(session)
        revision = head.revision + 1
        _insert(session, rows())
        head.revision, head.count = revision, head.count + KEYS
        others = session.execute(
            text("SELECT hash FROM sync_record WHERE revision < :r"), {"r": revision}
        )
        hashes += [bytes.fromhex(row.hash) for row in others]
        head.digest = digest_hex(digest_of(hashes))
        session.add(SyncCommit(revision=revision, digest=head.digest))


def _insert(session: Session, rows: Iterator[dict[str, Any]]) -> None:
    if session.get_bind().dialect.name == "sqlite":
        while chunk := list(islice(rows, CHUNK)):
            session.execute(insert(SyncRecord), chunk)
        return
    raw = session.connection().connection.dbapi_connection
    assert raw is not None
    command = "COPY sync_record (kind, id, revision, data, hash) FROM STDIN"
    with raw.cursor().copy(command) as copy:
        for row in rows:
            copy.write_row([row[name] for name in ("kind", "id", "revision", "data", "hash")])


def _key(world: World, key_id: str, digest: str | None) -> dict[str, object]:
    return {
        "hash": digest or hashlib.sha256(key_id.encode()).hexdigest(),
        "org": world.org_id,
        "lineage": key_id,
        "environment": "live",
        "state": "active",
        "expires_at": None,
        "models": None,
        "networks": None,
        "caps": [],
    }


def _follow(url: str, token: str, state: Path) -> float:
    store = Store(state)
    replica = Replica(store)
    follower = Follower(replica, url, token)
    began = time.perf_counter()
    follower.start()
    while not replica.is_ready:
        assert time.perf_counter() - began < PATIENCE_SECONDS
        time.sleep(0.005)
    took = time.perf_counter() - began
    follower.close()
    store.close()
    return took


def _bare(world: World, path: Path) -> float:
    """What no gateway can do without: hash each record, write all of them, and have them on disk."""
    made = canonical.encode(_key(world, f"key_{0:026d}", None))
    with closing(sqlite3.connect(path)) as link:
        link.execute("CREATE TABLE record (id INTEGER PRIMARY KEY, data BLOB, hash BLOB)")
        began = time.perf_counter()
        link.executemany(
            "INSERT INTO record VALUES (?, ?, ?)",
            ((number, made, record_hash("key", str(number), made)) for number in range(KEYS)),
        )
        link.commit()
        return time.perf_counter() - began


RESTART = """
import time
began = time.perf_counter()
import json, sys
from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.store import Store
imported = time.perf_counter()
enforcer = Enforcer(Replica(Store(sys.argv[1])))
decision = enforcer.check(sys.argv[2], model="sonnet-5")
ready = time.perf_counter()
assert decision, decision
print(json.dumps({"imports_ms": (imported - began) * 1e3, "ready_ms": (ready - imported) * 1e3}))
"""


def _restart(state: Path) -> dict[str, float]:
    command = [sys.executable, "-c", RESTART, str(state), SECRET]
    made = subprocess.run(command, cwd=TOP, check=True, capture_output=True, timeout=60)
    found: dict[str, float] = json.loads(made.stdout)
    return found


if __name__ == "__main__":
    main()
