"""What waits to be sent: bounded, in its order, none passed over."""

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
import pytest

from plimsoll import spool, usage
from plimsoll.spool import Counts, Metered, Spool
from plimsoll.store import Store
from tests.library.rig import Rig


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "spool")
    yield made
    made.close()


def change(store: Store, used: int, names: Iterable[str]) -> None:
    """Note that each of these organisations' counters stands at `used`."""
    with store.transaction() as connection:
        spool.add_metered(connection, (Metered(each, "x", {"used": used}) for each in names))


def told(waiting: Spool) -> list[str]:
    """Whose counters the next batch tells; it is answered."""
    batch = waiting.next(60)
    assert batch is not None
    waiting.done(batch)
    return [owner for owner, _, _ in orjson.loads(batch.body)["counters"]]


def test_waiting_rows_are_bounded_by_losing_their_minute_and_never_their_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "WAITING_ROWS_MAX", 40)
    monkeypatch.setattr(spool, "_CHUNK", 100)
    store = Store(tmp_path)
    waiting = Spool(store)
    for day in range(2):
        rows = {}
        for number in range(600):
            rows[day * 86_400 + number * 60, "key_1", "m"] = counts = Counts(1, 2, 3)
            counts.refuse("x", 4)
        with store.transaction() as connection:
            spool.add(connection, rows)

    waiting.bound()

    assert 0 < waiting.waiting <= 40
    batch = waiting.next(3 * 86_400)
    assert batch is not None
    sent = orjson.loads(batch.body)["rows"]
    assert sum(counts["requests"] for _, _, counts, _ in sent) == 1200
    assert sum(counts["refused"]["x"] for _, _, counts, _ in sent) == 4800
    assert {minute % 3600 for *_, minute in sent} == {0}
    store.close()


def test_of_more_counters_than_a_batch_holds_each_has_its_turn_and_none_is_passed_over(
    store: Store,
) -> None:
    names, waiting = [f"org_{number:04}" for number in range(700)], Spool(store)
    found = set[str]()
    for used in range(2):
        change(store, used, names)
        found.update(told(waiting))
        assert waiting.left == 200

    assert found == set(names)
    assert waiting.waiting == 0


def test_a_disk_that_takes_its_time_with_a_batch_holds_nobody_else_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, 1, ["org_1"])
    waiting, begun, on_disk, handed_out = Spool(store), threading.Event(), threading.Event(), []

    def slow(handle: int) -> None:
        begun.set()
        assert on_disk.wait(30)

    monkeypatch.setattr(os, "fsync", slow)
    sender = threading.Thread(target=lambda: handed_out.append(waiting.next(60)))
    sender.start()
    assert begun.wait(30)

    change(store, 2, ["org_2"])
    was_handed_out = list(handed_out)
    on_disk.set()
    sender.join()

    assert was_handed_out == []
    assert len(handed_out) == 1


def test_a_batch_found_after_a_kill_is_put_on_disk_before_it_is_sent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, 1, ["org_1"])
    assert Spool(store).next(60)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    again = Spool(store)

    assert again.next(60) == again.next(60)

    assert len(synced) == 1


def test_the_next_batch_follows_at_once_while_counters_wait(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BATCH_ROWS_MAX", 2)
    change(rig.store, 1, ["org_1", "org_2", "org_3"])

    pauses = [rig.follower.sender.send_once() for _ in range(2)]

    assert pauses == [usage.PAUSE_SECONDS, usage.SEND_SECONDS]


def test_counters_that_waited_before_they_had_an_order_are_told(tmp_path: Path) -> None:
    old = Store(tmp_path)
    with old.transaction() as connection:
        connection.execute("DROP TABLE metered")
        connection.execute(
            "CREATE TABLE metered (owner TEXT NOT NULL, name TEXT NOT NULL, fields BLOB NOT NULL,"
            " PRIMARY KEY (owner, name)) WITHOUT ROWID"
        )
        connection.execute("INSERT INTO metered VALUES ('org_9', 'x', '{}')")
    old.close()

    for _ in range(2):
        store = Store(tmp_path)
        change(store, 1, ["org_1"])
        store.close()
    store = Store(tmp_path)

    assert told(Spool(store)) == ["org_9", "org_1"]
    store.close()
