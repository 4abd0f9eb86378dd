import pytest

from portal.core.db import transaction
from portal.sync.commands import rebuild
from portal.sync.snapshots import Snapshots


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "snapshots"


def read(made):
    try:
        return b"".join(made.chunks())
    finally:
        made.close()


def test_readers_of_one_snapshot_do_not_disturb_each_other(sessions, catalog, folder):
    snapshots = Snapshots(sessions, folder)
    first, second = snapshots.open(), snapshots.open()

    pieces = [first.chunks(), second.chunks()]
    texts = [b"".join(piece) for piece in pieces]
    first.close()
    second.close()

    assert texts[0] == texts[1]
    assert texts[0].endswith(first.head.commit_line())


def test_two_processes_on_one_folder_do_not_take_each_others_file(sessions, cast, folder):
    one, other = Snapshots(sessions, folder), Snapshots(sessions, folder)
    begun = one.open()
    with sessions() as session, transaction(session):
        rebuild(session, actor=cast.root.actor)

    fresh = read(other.open())

    assert read(begun) != fresh
    assert read(one.open()) == fresh


def test_a_snapshot_leaves_no_file_behind(sessions, catalog, folder):
    read(Snapshots(sessions, folder).open())

    assert list(folder.iterdir()) == []
