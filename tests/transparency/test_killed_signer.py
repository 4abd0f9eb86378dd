import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from plimsoll.contract import canonical
from portal.core.db import snapshot
from portal.core.seal import SyncRecord
from portal.sync.check import check
from portal.transparency import statefile
from tests.support.worlds import TOP

pytestmark = pytest.mark.processes

SCRIPT = Path(__file__).with_name("killed.py")
SIGNING = [
    "before the signature",
    "after the signature",
    "before the commit",
    "after the commit",
    "before the file",
    "before the file's new name",
    "after the file",
]
MENDING = [
    "before the entries",
    "before the signature",
    "before the new epoch",
    "after the new epoch",
    "before the seal",
    "before the commit",
    "after the commit",
]


def kill(log, database, *, act: str, step: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), database.url, str(log.settings.data), act, step],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL


def assert_all_agree(log, *, size: int) -> None:
    """Database, checkpoint, file and what gateways are sent hold the same `size` entries."""
    leaves = log.leaves()
    assert len(leaves) == size
    assert log.head().text.splitlines()[1] == str(size)
    assert statefile.read(log.settings.data) == [leaf.encode() for leaf in leaves]
    with log.sessions() as session, snapshot(session):
        assert check(session).is_clean
        kinds = sorted(session.scalars(select(SyncRecord.kind)))
    assert kinds == ["checkpoint", *["entry"] * size]


@pytest.mark.parametrize(
    ("step", "appended"),
    [
        ("before the entry", 0),
        ("before the seal", 0),
        ("before the commit", 0),
        ("after the commit", 2),
    ],
)
def test_killed_while_appending_the_log_goes_on(log, clock, database, step, appended):
    """SIGKILL at the step; an act is in the log in full or not at all, and the next one follows it."""
    kill(log, database, act="append", step=step)

    assert len(log.leaves()) == appended
    if not appended:
        log.append()
    assert log.sign(thorough=False).trouble is None
    assert_all_agree(log, size=2)


@pytest.mark.parametrize("step", SIGNING)
def test_killed_between_any_two_steps_of_signing_nothing_is_lost(log, clock, database, step):
    """SIGKILL at the step; the next pass signs or takes over, and all places agree."""
    log.append()

    kill(log, database, act="sign", step=step)

    assert log.sign(thorough=False).trouble is None
    assert_all_agree(log, size=2)


@pytest.mark.long
@pytest.mark.parametrize("step", MENDING)
def test_killed_while_recovering_the_trouble_or_its_end_is_whole(log, clock, database, step):
    """SIGKILL at the step; either the backup is as it was and recovers again, or it is recovered."""
    log.append()
    log.sign()
    signed = log.leaves()
    log.lose_the_last_entry()

    kill(log, database, act="recover", step=step)

    if step != "after the commit":
        assert "an older state of the database" in log.sign().trouble
        log.recover()
    assert log.sign(thorough=False).trouble is None
    assert log.leaves() == signed
    assert_all_agree(log, size=2)


@pytest.mark.long
@pytest.mark.parametrize("step", [*(step for step in MENDING if "signature" not in step)])
def test_killed_while_discarding_the_trouble_or_its_end_is_whole(log, clock, database, step):
    """SIGKILL at the step; either the refused entry is still there to discard, or it is gone."""
    log.append()
    log.sign()
    signed = log.leaves()
    log.slip_in_a_change()

    kill(log, database, act="discard", step=step)

    if step != "after the commit":
        assert canonical.decode(log.leaves()[2])["seq"] == 2
        log.discard()
    assert log.sign(thorough=False).trouble is None
    assert log.leaves() == signed
    assert_all_agree(log, size=2)
