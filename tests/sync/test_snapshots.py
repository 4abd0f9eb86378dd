import functools
import itertools
import os
import threading
from pathlib import Path

import orjson
import pytest
from sqlalchemy.exc import OperationalError

from plimsoll.contract.records import digest_hex, put_line
from plimsoll.wire import parse_line
from portal.core.db import transaction
from portal.orgs.models import Org
from portal.sync import snapshots as module
from portal.sync.commands import rebuild
from portal.sync.hub import Head
from portal.sync.snapshots import BrokenOff, Growth, Snapshots
from tests.support.factories import make_key
from tests.support.product import eventually

FULL = Path("/dev/full")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "snapshots"


def read(made):
    try:
        return b"".join(made.chunks())
    finally:
        made.close()


def committed(text):
    """The revision and the digest that the last line names."""
    line = parse_line(text.splitlines()[-1])
    return line.rev, digest_hex(line.digest)


def place(made):
    return made.head.revision, made.head.digest


def test_readers_of_one_snapshot_do_not_disturb_each_other(sessions, catalog, folder):
    snapshots = Snapshots(sessions, folder)
    first, second = snapshots.open(), snapshots.open()

    pieces = [first.chunks(), second.chunks()]
    texts = [b"".join(piece) for piece in pieces]
    first.close()
    second.close()

    assert texts[0] == texts[1]
    assert committed(texts[0]) == place(first)


def test_two_processes_on_one_folder_do_not_take_each_others_file(sessions, cast, folder):
    one, other = Snapshots(sessions, folder), Snapshots(sessions, folder)
    begun = one.open()
    with sessions() as session, transaction(session):
        rebuild(session, actor=cast.root.actor)

    # Without the commit, which says when it was made.
    old, fresh, again = (read(each).splitlines()[:-1] for each in (begun, other.open(), one.open()))

    assert old != fresh
    assert again == fresh


def test_who_is_further_gets_a_newer_snapshot(sessions, cast, folder):
    """Else keys that a gateway knows would be unknown to it until it has caught up again."""
    snapshots = Snapshots(sessions, folder)
    read(snapshots.open())
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        make_key(session, org=org)
    now = Head.read(sessions).revision

    old, new, after_a_restore = (
        snapshots.open(at_least=each) for each in (now - 1, now, now + 1000)
    )

    assert [each.head.revision for each in (old, new, after_a_restore)] == [now - 1, now, now]
    for each in (old, new, after_a_restore):
        each.close()


def test_a_snapshot_leaves_no_file_behind(sessions, catalog, folder):
    read(Snapshots(sessions, folder).open())

    assert list(folder.iterdir()) == []


@pytest.fixture
def held_back(monkeypatch):
    """Records are written one by one; all after the first wait for this event."""
    event, calls = threading.Event(), itertools.count()

    def line(*args):
        assert next(calls) == 0 or event.wait(20)
        return put_line(*args)

    monkeypatch.setattr(module, "ROWS", 1)
    monkeypatch.setattr(module, "put_line", line)
    yield event
    event.set()


def test_a_snapshot_is_sent_while_it_is_written_to_all_who_ask(sessions, cast, folder, held_back):
    snapshots = Snapshots(sessions, folder)
    readers = [snapshots.open() for _ in range(2)]
    pieces = [each.chunks() for each in readers]
    begun = [next(each) for each in pieces]

    held_back.set()
    texts = [first + b"".join(rest) for first, rest in zip(begun, pieces, strict=True)]

    assert begun[0].count(b"\n") == 1
    assert texts[0] == texts[1] == read(snapshots.open())
    assert committed(texts[0]) == place(readers[0])
    for each in readers:
        each.close()


@pytest.fixture
def breaking(monkeypatch):
    """Writing fails at the second record, once."""
    calls = itertools.count()

    def line(*args):
        if next(calls) == 1:
            raise OSError("disk full")
        return put_line(*args)

    monkeypatch.setattr(module, "ROWS", 1)
    monkeypatch.setattr(module, "put_line", line)


def test_a_snapshot_that_breaks_off_has_no_commit_and_is_made_anew(
    sessions, cast, folder, breaking
):
    snapshots = Snapshots(sessions, folder)
    broken = snapshots.open()

    with pytest.raises(BrokenOff):
        read(broken)

    assert committed(read(snapshots.open())) == place(broken)


def test_who_hears_a_snapshot_break_off_hears_no_commit(wire, cast, breaking):
    heard = [orjson.loads(each)["t"] for each in wire.get().data.splitlines()]

    assert heard in (["hello"], ["hello", "put"])


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_ends_those_who_wait_for_the_rest(sessions, cast, folder, monkeypatch):
    snapshots = Snapshots(sessions, folder)
    with monkeypatch.context() as patched:
        full = functools.partial(FULL.open, "wb", buffering=0)
        patched.setattr(module.tempfile, "TemporaryFile", lambda **_: full())
        patched.setattr(module, "ROWS", 1)
        with pytest.raises(BrokenOff):
            read(snapshots.open())

    assert read(snapshots.open())


def test_what_was_written_in_vain_is_given_back_to_the_disk(sessions, cast, folder, monkeypatch):
    append = Growth.append

    def half(growth, data):
        append(growth, data[: len(data) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Growth, "append", half)
    broken = Snapshots(sessions, folder).open()
    broken.growth.wait()

    eventually(lambda: os.fstat(broken.descriptor).st_size == 0)
    broken.close()


def test_a_database_that_is_away_is_said_at_once(sessions, cast, folder, monkeypatch):
    def away(session):
        raise OperationalError("SELECT 1", {}, Exception("away"))

    snapshots = Snapshots(sessions, folder)
    with monkeypatch.context() as patched:
        patched.setattr(module, "snapshot", away)
        with pytest.raises(OperationalError):
            snapshots.open()

    assert read(snapshots.open())
