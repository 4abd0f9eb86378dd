from collections.abc import Iterator
from pathlib import Path

import pytest

from plimsoll import usage
from plimsoll.testing import FakeKey, FakePortal, ManualClock
from tests.library.rig import Rig, rig_on, small_catalog


@pytest.fixture
def portal(clock: ManualClock) -> FakePortal:
    made = FakePortal(clock=clock)
    tokens = {"metric": "output_tokens", "kind": "window", "period": 86_400, "quota": 10_000}
    made.publish(small_catalog({"quota": 3}, tokens))
    return made


@pytest.fixture
def key(portal: FakePortal) -> FakeKey:
    return portal.add_key(portal.add_org("build"))


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that sends is not started: tests send when they mean to."""
    monkeypatch.setattr(usage.Sender, "start", lambda _: None)


@pytest.fixture
def rig(portal: FakePortal, key: FakeKey, clock: ManualClock, tmp_path: Path) -> Iterator[Rig]:
    """A gateway that knows the key."""
    with rig_on(portal, clock, tmp_path / "state") as made:
        yield made
