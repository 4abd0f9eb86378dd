from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from plimsoll.testing import FakePortal, ManualClock
from tests.library.gate import Gate, MakeGate
from tests.library.rig import CATALOG, Rig, rig_on, small_catalog
from tests.library.sharing import Gates, MakeGates


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


@pytest.fixture
def make_gate(clock: ManualClock, tmp_path: Path) -> Iterator[MakeGate]:
    """Publishes rows of a small catalogue and issues one key."""
    open_gates = []

    @contextmanager
    def opened(rows: tuple[dict[str, object], ...], fields: dict[str, object]) -> Iterator[Gate]:
        portal = FakePortal(clock=clock)
        portal.publish(small_catalog(*rows))
        org = portal.add_org("build")
        key = portal.add_key(org, **fields)
        with rig_on(portal, clock, tmp_path / "state") as rig:
            yield Gate(rig, org, key)

    def make(*rows: dict[str, object], **fields: object) -> Gate:
        context = opened(rows, fields)
        open_gates.append(context)
        return context.__enter__()

    yield make
    for context in open_gates:
        context.__exit__(None, None, None)


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[MakeGates]:
    with ExitStack() as stack:
        yield lambda *rows: Gates(tmp_path, stack, *rows)
