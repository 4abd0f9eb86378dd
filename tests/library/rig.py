"""A gateway in parts over a fake portal, with clocks that stand until they are moved."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from plimsoll.decision import Code
from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.store import Store
from plimsoll.sync import Follower, Link
from plimsoll.testing import FakePortal, ManualClock

CATALOG = orjson.loads(
    (Path(__file__).parents[2] / "examples/catalog/sample-2026.json").read_bytes()
)
# Long, for machines that do much else; nothing waits so long when all is well.
DEADLINE_SECONDS = 30.0


def small_catalog(*rows: dict[str, object], reserve: int = 50) -> dict[str, object]:
    """A catalogue of one tier `build` and one model `m`, and the tiers `other` without limits."""
    tier = {"entry": "automatic", "description": "A tier.", "requirements": {}, "keys_max": None}
    defaults = {"tier": "build", "model": "m", "metric": "requests", "kind": "bucket", "period": 60}
    return {
        "format": 1,
        "provider": "Test",
        "title": "Limits",
        "reason": "To test.",
        "models": [{"slug": "m", "name": "M"}, {"slug": "n", "name": "N"}],
        "tiers": [
            {**tier, "slug": "build", "name": "Build", "rank": 1},
            {**tier, "slug": "other", "name": "Other", "rank": 2},
        ],
        "offers": [{"tier": "build", "model": "m"}, {"tier": "other", "model": "n"}],
        "counting": {"reserve": {"build": {"output_tokens": reserve}}, "texts": {}},
        "rows": [{**defaults, **row} for row in rows],
    }


@dataclass
class Rig:
    """One gateway and its portal."""

    portal: FakePortal
    clock: ManualClock
    store: Store
    replica: Replica
    follower: Follower
    enforcer: Enforcer
    links: list[str]

    def reasons(self) -> str:
        """All that the follower said about its link, in words."""
        return "; ".join(self.links)

    def level(self) -> None:
        """Wait until the gateway has what the portal has."""
        self.wait(lambda: self.is_level, "the gateway is level with its portal")

    @property
    def is_level(self) -> bool:
        head = self.replica.head
        return head is not None and (head.epoch, head.revision, head.digest) == (
            self.portal.epoch,
            self.portal.revision,
            self.portal.digest,
        )

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something that other threads bring about."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"{what}; {self.follower.standing()}"
            time.sleep(0.002)

    def wait_for_link(self, link: Link) -> None:
        self.wait(lambda: self.follower.standing().link is link, f"the link is {link}")

    def stop(self) -> None:
        self.follower.close()
        self.enforcer.save()
        self.store.close()


def open_rig(
    portal: FakePortal,
    clock: ManualClock,
    state: Path,
    *,
    fingerprint: str | None = None,
    **options: object,
) -> Rig:
    """Open a gateway on a state folder; close it with `stop`."""
    store = Store(state)
    replica = Replica(store, clock=clock, fingerprint=fingerprint)
    follower = Follower(
        replica,
        portal.url,
        portal.token,
        transport=portal.transport(),
        # Waits are as long as a test can bear, and never longer.
        jitter=lambda _, high: min(high, 0.005),
    )
    enforcer = Enforcer(replica, portal_url="https://portal.test", **options)  # type: ignore[arg-type]
    links: list[str] = []
    follower.on_link = lambda standing: links.append(standing.reason)
    follower.start()
    return Rig(portal, clock, store, replica, follower, enforcer, links)


@contextmanager
def rig_on(portal: FakePortal, clock: ManualClock, state: Path, **options: object) -> Iterator[Rig]:
    """A gateway that is level with its portal, for the length of a block."""
    rig = open_rig(portal, clock, state, **options)
    try:
        if portal.revision and not portal.is_down:
            rig.level()
        yield rig
    finally:
        rig.stop()


def code_of(rig: Rig, secret: str) -> Code:
    """What a request with a secret gets."""
    return rig.enforcer.check(secret, model="sonnet-5").code
