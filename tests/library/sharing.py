"""Gateways that follow one portal and count together in one Valkey."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from plimsoll.counters_redis import SharedCounters
from plimsoll.decision import Decision
from plimsoll.spool import Counts
from plimsoll.testing import FakeKey, FakePortal, SystemClock
from tests.library.rig import Rig, rig_on, small_catalog
from tests.support.product import eventually
from tests.support.valkey import Valkey

HOUR = {"kind": "window", "period": 3600}
# Long enough that a busy machine is not taken for a server that is away.
PATIENCE = 5.0
BRIEF = 0.2


class SharingGate:
    """One of several gateways over one server, with the key that all of them meet."""

    def __init__(self, rig: Rig, shared: SharedCounters, key: FakeKey) -> None:
        self.rig, self.shared, self.key = rig, shared, key

    def ask(self, **asked: int) -> Decision:
        return self.rig.enforcer.check(self.key.secret, model="m", **asked)

    def admitted(self, requests: int) -> int:
        """How many of so many requests pass."""
        return sum(map(bool, (self.ask() for _ in range(requests))))

    def settle(self, decision: Decision, **took: int) -> bool:
        return self.rig.enforcer.settle(decision.id, **took)

    def used(self) -> dict[str, int]:
        limits = self.rig.enforcer.limits(self.key.secret).limits
        return {each.name.split(".")[2]: each.used for each in limits}

    def counted(self) -> Iterable[Counts]:
        """What waits to be reported as used."""
        return self.rig.enforcer._ledger.counters.tally.take().values()

    def wait_until_shared(self) -> None:
        eventually(lambda: self.shared.is_up, seconds=20)


class Gates:
    """Opens gateways that follow one portal."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *rows: dict[str, object]) -> None:
        self._folder, self._stack = folder, stack
        self.portal = FakePortal(clock=SystemClock())
        self.portal.publish(small_catalog(*rows))
        self.org = self.portal.add_org("build")
        self.key = self.portal.add_key(self.org)

    def open(self, name: str, valkey: Valkey, *, timeout: float = PATIENCE) -> SharingGate:
        # Tried again at once, since each test waits for it.
        shared = SharedCounters(
            valkey.url, timeout_seconds=timeout, jitter=lambda _, high: min(high, 0.05)
        )
        shared.start()
        self._stack.callback(shared.close)
        rig = self._stack.enter_context(
            rig_on(self.portal, SystemClock(), self._folder / name, shared=shared)
        )
        return SharingGate(rig, shared, self.key)


MakeGates = Callable[..., Gates]


def together(*acts: Callable[[], int]) -> int:
    """The sum of what acts in threads of their own give."""
    sums: list[int] = []
    threads = [threading.Thread(target=lambda act=act: sums.append(act())) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(sums)
