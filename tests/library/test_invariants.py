"""The invariants of SYNC.md section 5 over random histories: whatever goes wrong on the way, the
gateway ends up with the portal's state, and no key once revoked is ever used again."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plimsoll.contract.fold import fold
from plimsoll.contract.limits import InvalidField
from plimsoll.contract.rules import RuleBroken
from plimsoll.decision import Code
from plimsoll.testing import FakeKey, FakePortal, ManualClock
from tests.library.published import DAY, MONTH
from tests.library.rig import CATALOG, Rig, open_rig

STATES = {"active": Code.ALLOWED, "paused": Code.KEY_PAUSED, "revoked": Code.KEY_REVOKED}


def flip(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'":"', b'":"x', 1), *lines[1:]]


def drop(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def tear(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1][:30]]


def quota(amount: int) -> dict[str, Any]:
    """A change file that gives one limit this quota."""
    row = {"tier": "build", "model": "sonnet-5", "metric": "requests", "kind": "bucket"}
    return {"rows": [{**row, "period": 60, "quota": amount}]}


class World:
    """A portal, a gateway and everything that may happen to them."""

    def __init__(self, stack: ExitStack) -> None:
        self.clock = ManualClock()
        self.portal = FakePortal(clock=self.clock)
        self.portal.publish(CATALOG)
        self.org = self.portal.add_org("build")
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.keys: list[FakeKey] = []
        self.ever_revoked: set[str] = set()
        self.backup: dict[str, Any] | None = None
        self.is_restored = False
        self.rig = self._open()
        stack.callback(self._close)

    def _open(self) -> Rig:
        return open_rig(self.portal, self.clock, self.folder / "state")

    def _close(self) -> None:
        self.rig.stop()

    def act(self, name: str, number: int) -> None:
        acts: dict[str, Callable[[], None]] = {
            "issue": lambda: self.keys.append(self.portal.add_key(self.org)),
            "pause": lambda: self._set(number, "paused"),
            "resume": lambda: self._set(number, "active"),
            "revoke": lambda: self._set(number, "revoked"),
            "raise": lambda: self._publish(lambda: self.portal.announce(quota(6000 + number))),
            "cut": lambda: self._publish(
                lambda: self.portal.announce(quota(number), effective_in=MONTH + number)
            ),
            "hold": lambda: self._publish(lambda: self.portal.hold(number)),
            "withdraw": lambda: self._publish(lambda: self.portal.withdraw(number)),
            "wait": lambda: self.clock.advance(10 * DAY),
            "drop": self.portal.drop,
            "beat": self.portal.beat,
            "epoch": self.portal.new_epoch,
            "flip": lambda: self._tamper(flip),
            "lose": lambda: self._tamper(drop),
            "tear": lambda: self._tamper(tear),
            "heal": lambda: self._tamper(None),
            "level": self._level,
            "restart": self._restart,
            "back up": self._back_up,
            "restore": self._restore,
        }
        acts[name]()

    def _set(self, number: int, state: str) -> None:
        if not self.keys:
            return
        key = self.keys[number % len(self.keys)]
        if self.state(key) != "revoked":
            self.portal.change(key.id, state=state)

    def _publish(self, act: Callable[[], object]) -> None:
        # What the rule forbids is not published, and that is all.
        with suppress(RuleBroken, InvalidField):
            act()

    def _tamper(self, how: Callable[[list[bytes]], list[bytes]] | None) -> None:
        self.portal.tamper = how

    def _level(self) -> None:
        if self.portal.tamper is None:
            self.rig.level()
            self._remember()

    def _remember(self) -> None:
        self.ever_revoked |= {key.id for key in self.keys if self.state(key) == "revoked"}

    def _restart(self) -> None:
        self.rig.stop()
        self.rig = self._open()

    def _back_up(self) -> None:
        self.backup = {**self.portal.save(), "keys": list(self.keys)}

    def _restore(self) -> None:
        if self.backup is None:
            return
        self.is_restored = True
        backup = dict(self.backup)
        self.keys = list(backup.pop("keys"))
        self.portal.restore(backup)
        self.portal.new_epoch()

    def state(self, key: FakeKey) -> str:
        state: str = self.portal.fields("key", key.id)["state"]
        return state

    def expected(self, key: FakeKey) -> Code:
        return Code.KEY_REVOKED if key.id in self.ever_revoked else STATES[self.state(key)]


ACTS = [
    *("issue", "pause", "resume", "revoke", "drop", "beat", "epoch", "flip", "lose", "tear"),
    *("heal", "level", "restart", "back up", "restore"),
    *("raise", "cut", "hold", "withdraw", "wait"),
]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5)), max_size=25))
def test_once_faults_stop_the_gateway_has_the_portals_state_and_the_dead_stay_dead(
    history: list[tuple[str, int]],
) -> None:
    with ExitStack() as stack:
        world = World(stack)
        for name, number in history:
            world.act(name, number)
        world.act("heal", 0)
        world.portal.drop()

        world.act("level", 0)

        for kind, record_id in world.portal.identities():
            row = world.rig.store.find(kind, record_id)
            assert row is not None
            assert row.data == world.portal.data(kind, record_id)
        for key in world.keys:
            assert world.rig.enforcer.check(key.secret, model="sonnet-5").code is world.expected(
                key
            )
        # A portal that went back to a backup may have another log by now: that one is a fork.
        if not world.is_restored:
            entries = world.portal.entries
            for at in (*world.portal.history.instants(), world.portal.now):
                policy = world.rig.replica.logbook.policy(at)
                assert policy.limits == fold(entries, at).limits
