from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rig import Rig, seed_of_run
from tests.faults.sides import OneProcess, SplitProcesses
from tests.support.worlds import Worlds


@pytest.fixture(params=["sqlite", "postgresql"])
def rig(request: pytest.FixtureRequest, worlds: Worlds, tmp_path: Path) -> Iterator[Rig]:
    """A portal with five gateways behind the proxy, started; everything is ended afterwards.

    For one kind of database: `@pytest.mark.parametrize("rig", ["sqlite"], indirect=True)`.
    """
    if request.param == "sqlite":
        yield from _started(Rig(OneProcess(tmp_path), tmp_path, seed=seed_of_run()))
        return
    with worlds.copy(request.param, "empty", tmp_path / "portal") as database:
        side = SplitProcesses(tmp_path, database)
        yield from _started(Rig(side, tmp_path, seed=seed_of_run()))


def _started(made: Rig) -> Iterator[Rig]:
    try:
        made.start()
        yield made
    finally:
        made.close()
