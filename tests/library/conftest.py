from collections.abc import Iterator
from pathlib import Path

import pytest

from plimsoll.testing import FakePortal, ManualClock
from tests.library.rig import CATALOG, Rig, rig_on


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def portal(clock: ManualClock) -> FakePortal:
    """A portal that has published the sample catalogue."""
    made = FakePortal(clock=clock)
    made.publish(CATALOG)
    return made


@pytest.fixture
def rig(portal: FakePortal, clock: ManualClock, tmp_path: Path) -> Iterator[Rig]:
    """A gateway level with that portal."""
    with rig_on(portal, clock, tmp_path / "state") as made:
        yield made
