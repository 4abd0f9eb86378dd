import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from plimsoll.contract import canonical, checkpoint, merkle
from portal.changelog.models import Change
from portal.core.db import snapshot
from portal.sync.check import check
from portal.transparency import keyfile, statefile
from portal.transparency.queries import signed_log
from tests.support.worlds import TOP

pytestmark = [pytest.mark.processes, pytest.mark.long]

SCRIPT = Path(__file__).with_name("publisher.py")
PROCESSES, THREADS = 4, 25


def test_a_hundred_publishers_at_once_make_one_dense_history(log, database, catalog):
    """Four processes with twenty-five threads each: no fork, no lost entry, no number twice or missing."""
    running = [
        subprocess.Popen(
            [
                *(sys.executable, str(SCRIPT), database.url, str(log.settings.data)),
                *(str(process * THREADS), str(THREADS)),
            ],
            env={**os.environ, "PYTHONPATH": str(TOP)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for process in range(PROCESSES)
    ]
    told = [int(number) for each in running for number in each.communicate(timeout=240)[0].split()]

    # Change 1 is the catalogue; every publisher was told a number of its own.
    assert sorted(told) == list(range(2, 2 + PROCESSES * THREADS))
    assert_one_history(log, size=2 + PROCESSES * THREADS)


def assert_one_history(log, *, size: int) -> None:
    leaves = [leaf.encode() for leaf in log.leaves()]
    entries = [canonical.decode(leaf) for leaf in leaves]
    assert [entry["seq"] for entry in entries] == list(range(size))
    assert [entry["body"]["change"] for entry in entries[1:]] == list(range(1, size))

    public_key = checkpoint.public_key_of(keyfile.load(log.settings.data))
    signed = checkpoint.verify(log.head().text, log.settings.origin, public_key)
    assert (signed.size, signed.root) == (size, merkle.root(leaves))
    assert statefile.read(log.settings.data) == leaves

    with log.sessions() as session, snapshot(session):
        assert sorted(session.scalars(select(Change.number))) == list(range(1, size))
        assert signed_log(session).size == size
        assert check(session).is_clean
