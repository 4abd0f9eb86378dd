"""The store: one transaction per batch, one file per snapshot, and nothing lost to a kill."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plimsoll import gateway
from plimsoll.contract.records import DIGEST_MODULUS, record_hash
from plimsoll.errors import StoreFromTheFuture, StoreInUse
from plimsoll.gateway import Gateway
from plimsoll.store import Store
from plimsoll.tables import REVOKED_KEPT_SECONDS, Head, Row, write_revoked
from plimsoll.testing import FakePortal
from tests.support.product import eventually

TOP = Path(__file__).parents[2]
EPOCH = "ab" * 16

WRITER = """
import sys
from plimsoll.contract.records import record_hash
from plimsoll.store import Store
from plimsoll.tables import Head, Row

store = Store(sys.argv[1])
digest = 0
for revision in range(1, 1_000_000):
    row = Row("thing", f"t{revision % 7}", revision, b"%d" % revision)
    old = store.find("thing", row.id)
    records = revision if revision < 7 else 7
    if old is not None:
        digest -= int.from_bytes(record_hash(old.kind, old.id, old.data))
    digest = (digest + int.from_bytes(record_hash(row.kind, row.id, row.data))) % 2**256
    store.apply([row], Head("ab" * 16, revision, records, digest), log=None, revoked=[], at=0)
    store.save([("counter", revision, revision * 10**6 + 2 * 10**12)])
    print(revision, flush=True)
"""


def apply(store: Store, *rows: Row, revision: int = 1, revoked: tuple[str, ...] = ()) -> None:
    head = Head(EPOCH, revision, len(rows), 0)
    store.apply(rows, head, log=None, revoked=list(revoked), at=1000)


@pytest.mark.processes
def test_a_kill_at_any_instant_leaves_a_state_that_adds_up(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=TOP,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(50)]
    time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read().splitlines()
    writer.wait()
    writer.stdout.close()

    store = Store(tmp_path)
    head = store.head
    assert head is not None
    assert head.revision >= int(said[-1])
    rows = [store.find("thing", f"t{number}") for number in range(7)]
    found = [row for row in rows if row is not None]
    total = sum(int.from_bytes(record_hash(row.kind, row.id, row.data)) for row in found)
    assert (len(found), total % DIGEST_MODULUS) == (head.records, head.digest)
    assert max(row.revision for row in found) == head.revision
    counter = store.counter("counter")
    assert counter is not None
    assert counter[0] >= int(said[-1])
    assert store.boot == 2
    store.close()


def test_records_are_kept_as_received_and_found_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    apply(store, Row("org", "org_1", 1, b'{"b": 1 }'), Row("key", "key_1", 1, b"{}", b"s" * 32))
    store.close()

    again = Store(tmp_path)

    row = again.find("org", "org_1")
    assert row is not None
    assert row.data == b'{"b": 1 }'
    found = again.find_key(b"s" * 32)
    assert found is not None
    assert (found[0].id, found[1]) == ("key_1", False)
    assert again.find_key(b"t" * 32) is None
    again.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    apply(store, Row("org", "org_1", 1, b"one"))

    def cut_off() -> None:
        with store.transaction() as connection:
            connection.execute("DELETE FROM record")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cut_off()

    assert store.find("org", "org_1") is not None
    store.close()


def test_a_commit_that_fails_leaves_the_store_usable(tmp_path: Path) -> None:
    reference = "REFERENCES whole DEFERRABLE INITIALLY DEFERRED"
    with contextlib.closing(Store(tmp_path)) as store:
        with store.transaction() as connection:
            connection.execute("CREATE TABLE whole (id INTEGER PRIMARY KEY)")
            connection.execute(f"CREATE TABLE part (whole_id {reference})")
        connection.execute("PRAGMA foreign_keys = ON")

        with pytest.raises(sqlite3.IntegrityError), store.transaction() as connection:
            connection.execute("INSERT INTO part VALUES (7)")

        with store.transaction() as connection:
            assert connection.execute("SELECT count(*) FROM part").fetchone() == (0,)


def fill_the_log(store: Store) -> None:
    """More than SQLite by itself lets a commit leave in the write-ahead log: 1,000 pages."""
    for revision in range(1, 601):
        apply(store, Row("org", f"org_{revision}", revision, b"x" * 8000), revision=revision)


def test_a_commit_leaves_the_log_to_the_checkpoint(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path)) as store:
        file = tmp_path / "state-000001.db"
        before = file.stat().st_size
        fill_the_log(store)
        assert file.stat().st_size == before

        store.checkpoint()

        assert file.stat().st_size > 4_000_000


def test_an_open_gateway_makes_checkpoints(
    portal: FakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "SAVE_SECONDS", 0.01)
    transport = portal.transport()
    with Gateway(
        tmp_path, portal_url=portal.url, token=portal.token, transport=transport
    ) as opened:
        eventually(lambda: opened.replica.is_ready)
        fill_the_log(opened.store)

        eventually(lambda: opened.store._path.stat().st_size > 4_000_000)


def test_one_folder_serves_one_process(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreInUse):
        Store(tmp_path)

    store.close()
    store.close()

    Store(tmp_path).close()


def test_each_opening_is_a_boot(tmp_path: Path) -> None:
    boots = []
    for _ in range(3):
        store = Store(tmp_path)
        boots.append(store.boot)
        store.close()

    assert boots == [1, 2, 3]


def test_a_killed_load_leaves_no_trace(tmp_path: Path) -> None:
    store = Store(tmp_path)
    apply(store, Row("org", "org_1", 1, b"one"))
    store.close()
    (tmp_path / "state-000002.db.loading").write_bytes(b"half a file")

    again = Store(tmp_path)

    assert again.find("org", "org_1") is not None
    assert not list(tmp_path.glob("*.loading"))
    again.close()


def test_a_file_that_cannot_be_read_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    apply(store, Row("org", "org_1", 1, b"one"))
    store.close()
    (tmp_path / "state-000001.db").write_bytes(b"not a database, " * 500)

    again = Store(tmp_path)

    assert again.head is None
    assert "starting from nothing" in caplog.text
    assert (tmp_path / "state-000001.db.unreadable").exists()
    again.close()


FULL_DISK = """
import resource, sys
from plimsoll.errors import StoreUnusable
from plimsoll.store import Store

# Files may not grow past a size: writing fails as on a full disk, for this process alone.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    print(Store(sys.argv[1]).head.revision)
except StoreUnusable:
    print("unusable")
"""


def open_on_a_full_disk(folder: Path, *, size: int) -> str:
    """What comes of opening the folder where nothing can be written: its revision, or `unusable`."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder), str(size)],
        stdout=subprocess.PIPE,
        check=True,
        cwd=TOP,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )
    return done.stdout.decode().strip()


@pytest.mark.processes
def test_a_full_disk_at_the_start_costs_nothing_that_was_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    apply(store, Row("org", "org_1", 1, b"one"), revision=7)
    store.close()

    assert open_on_a_full_disk(tmp_path, size=1) == "unusable"

    again = Store(tmp_path)
    assert again.head is not None
    assert again.head.revision == 7
    again.close()


@pytest.mark.processes
def test_after_a_kill_it_is_opened_on_a_full_disk_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "before")
    apply(store, Row("org", "org_1", 1, b"one"), revision=7)
    # As a kill leaves it: with its write-ahead log, and the index of that, which still has its room.
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    store.close()

    assert open_on_a_full_disk(tmp_path / "after", size=40_000) == "7"


def test_a_new_file_that_cannot_be_opened_leaves_the_present_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    apply(store, Row("org", "org_1", 1, b"one"), revision=7)

    with pytest.raises(sqlite3.DatabaseError), store.swapping():
        store.next_path().write_bytes(b"not a database, " * 500)

    assert store.find("org", "org_1") is not None
    apply(store, Row("org", "org_1", 2, b"two"), revision=8)
    store.close()
    again = Store(tmp_path)
    assert again.head is not None
    assert again.head.revision == 8
    again.close()


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.transaction() as connection:
        connection.execute("PRAGMA user_version = 99")
    store.close()

    with pytest.raises(StoreFromTheFuture):
        Store(tmp_path)

    assert (tmp_path / "state-000001.db").exists()


def test_a_revocation_once_seen_is_kept_for_90_days(tmp_path: Path) -> None:
    store = Store(tmp_path)
    apply(store, Row("key", "key_1", 1, b"{}", b"s" * 32), revoked=("key_1",))

    def is_revoked_after(seconds: int) -> bool:
        with store.transaction() as connection:
            write_revoked(connection, [], 1000 + seconds)
        found = store.find_key(b"s" * 32)
        return found is not None and found[1]

    assert is_revoked_after(REVOKED_KEPT_SECONDS)
    assert not is_revoked_after(REVOKED_KEPT_SECONDS + 1)
    store.close()


def test_nobody_else_may_look_into_the_folder(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")

    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    store.close()
