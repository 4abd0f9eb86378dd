import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.sync.commands import rebuild
from portal.sync.hub import Head
from portal.sync.snapshots import Snapshots
from tests.support.factories import make_key


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
