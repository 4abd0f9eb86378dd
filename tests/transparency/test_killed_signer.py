import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from portal.core.seal import SyncRecord
from portal.transparency import statefile
from tests.support.worlds import TOP

SCRIPT = Path(__file__).with_name("killed.py")
STEPS = [
    "before the signature",
    "before the commit",
    "before the file",
    "before the file's new name",
    "after the file",
]


@pytest.mark.processes
@pytest.mark.parametrize("step", STEPS)
def test_killed_between_any_two_steps_nothing_is_lost(log, clock, database, step):
    """SIGKILL at the step; the next pass signs or takes over, and all three places agree."""
    log.append()

    done = subprocess.run(
        [sys.executable, str(SCRIPT), database.url, str(log.settings.data), step],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        check=False,
        timeout=60,
    )
    outcome = log.sign(thorough=False)

    assert done.returncode == -signal.SIGKILL
    assert (outcome.size, outcome.trouble) == (2, None)
    assert log.head().text.splitlines()[1] == "2"
    assert statefile.read(log.settings.data) == [leaf.encode() for leaf in log.leaves()]
    with log.sessions() as session:
        kinds = sorted(session.scalars(select(SyncRecord.kind)))
    assert kinds == ["checkpoint", "entry", "entry"]
