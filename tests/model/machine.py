"""The state machine: what people do at the portal, what happens on the wire, to the gateway and to time."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RULE_MARKER, RuleBasedStateMachine, invariant, precondition, rule

from plimsoll.testing import FakeKey
from tests.model import wire
from tests.model.portal import DAY, Writer
from tests.model.world import World

KEYS_MAX = 8
NUMBERS = st.integers(0, 7)
BITS = st.integers(0, 4000)
STATES = st.sampled_from(("active", "paused", "revoked"))
RARELY = st.sampled_from((False, False, False, True))
ACTS = st.sampled_from(
    (
        *("issue", "active", "paused", "revoked", "several"),
        *("garble", "garble org", "suspend", "lift", "raise"),
    )
)
ORG = {"suspend": "suspended", "lift": "active", "garble org": "unreadable"}
NEWS = st.sampled_from(("several", "revoked", "issue"))
SPOILING = st.sampled_from(("lose", "flip", "double"))


class SyncMachine(RuleBasedStateMachine):
    """One portal, one gateway, any history."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.backups: list[dict[str, Any]] = [self.world.portal.save()]
        self.writers: list[Writer] = []

    @property
    def portal(self):
        return self.world.portal

    def key(self, number: int) -> FakeKey:
        return self.portal.ever[number % len(self.portal.ever)]

    # ---- at the portal ----

    @rule(act=ACTS, number=NUMBERS)
    def change(self, act: str, number: int) -> None:
        """What gateways hear of in the ordinary way."""
        self._change(act, number)

    def _change(self, act: str, number: int) -> None:
        portal, key = self.portal, self.key(number)
        match act:
            case "issue" if len(portal.ever) < KEYS_MAX:
                portal.issue()
            case "active" | "paused" | "revoked":
                portal.set_key(key, act)
            case "garble":
                portal.garble_key(key)
            case "suspend" | "lift" | "garble org":
                portal.set_org(ORG[act])
            case "raise":
                portal.raise_quota()
            case "several":
                with portal.batch():
                    portal.set_key(self.key(number + 1), "paused")
                    portal.set_key(key, "revoked")
                    portal.raise_quota()

    @rule(number=NUMBERS, state=STATES)
    def begin_to_write(self, number: int, state: str) -> None:
        self.writers.append(Writer(self.portal, self.key(number), state))

    @precondition(lambda self: self.writers)
    @rule(number=NUMBERS)
    def commit(self, number: int) -> None:
        self.writers.pop(number % len(self.writers)).commit()

    @rule()
    def publish(self) -> None:
        self.portal.raise_quota()

    @rule(how=st.sampled_from(("fork", "forge", "sign_less")))
    def lie_in_the_log(self, how: str) -> None:
        getattr(self.portal, how)()

    @rule(is_compact=st.booleans())
    def rebuild(self, *, is_compact: bool) -> None:
        self.portal.rebuild(is_compact=is_compact)
        self.writers.clear()
        self.world.wire.drop()

    @rule()
    def back_up(self) -> None:
        self.backups.append(self.portal.save())

    @rule(number=NUMBERS, is_told=st.booleans())
    def restore(self, number: int, *, is_told: bool) -> None:
        self.portal.go_back(self.backups[-1 - number % len(self.backups)], is_told=is_told)
        self.writers.clear()
        self.world.wire.drop()
        self.world.books.settle(self.world.gateway.store)

    @rule(seconds=st.sampled_from((-3600, -5, 5, 3600, 2 * DAY)))
    def set_the_portals_clock(self, seconds: int) -> None:
        self.world.portal_clock.set_wall(self.world.portal_clock.now() + seconds)

    @rule(number=NUMBERS)
    def refuse_usage(self, number: int) -> None:
        self.portal.usage.refuses.add(self.key(number).id)

    # ---- on the wire ----

    @rule(kind=st.sampled_from((*wire.ON_BATCHES, *wire.ON_LINES)), at=NUMBERS, bit=BITS)
    def spoil(self, kind: str, at: int, bit: int) -> None:
        self.world.fault(wire.Fault(kind, at, bit))

    @rule(kind=st.sampled_from(wire.ON_BATCHES), at=NUMBERS, bit=BITS, act=ACTS, number=NUMBERS)
    def spoil_a_change(self, kind: str, at: int, bit: int, act: str, number: int) -> None:
        self._spoil(wire.Fault(kind, at, bit), act, number)

    @rule(kind=SPOILING, at=NUMBERS, bit=BITS, act=NEWS, number=NUMBERS)
    def spoil_and_cut_off(self, kind: str, at: int, bit: int, act: str, number: int) -> None:
        """What is wrong is the last that the gateway hears for a while."""
        self.world.wire.is_last = True
        self._spoil(wire.Fault(kind, at, bit), act, number)

    def _spoil(self, fault: wire.Fault, act: str, number: int) -> None:
        self.world.fault(fault)
        self._change(act, number)

    @rule(kind=st.sampled_from((*wire.ON_POSTS, *wire.ON_SNAPSHOTS)))
    def spoil_an_answer(self, kind: str) -> None:
        self.world.fault(wire.Fault(kind))

    @rule(how=st.sampled_from(("drop", "part")))
    def end_the_connection(self, how: str) -> None:
        getattr(self.world.wire, how)()

    @rule(is_down=RARELY)
    def reach_the_portal(self, *, is_down: bool) -> None:
        self.portal.is_down = is_down
        if is_down:
            self.world.wire.drop()

    @rule(is_bad=st.booleans())
    def refuse_the_token(self, *, is_bad: bool) -> None:
        self.world.wire.is_token_good = not is_bad
        if is_bad:
            self.world.wire.drop()

    # ---- at the gateway ----

    @rule(number=NUMBERS, times=st.integers(1, 5))
    def ask(self, number: int, times: int) -> None:
        for _ in range(times):
            self.world.ask(self.key(number))

    @rule()
    def save(self) -> None:
        self.world.save()

    @rule(steps=st.integers(0, 25))
    def kill_soon(self, steps: int) -> None:
        self.world.kill(steps)

    @rule(steps=st.integers(0, 12), act=ACTS, number=NUMBERS)
    def kill_at_a_change(self, steps: int, act: str, number: int) -> None:
        self.world.kill(steps)
        self._change(act, number)

    @rule(number=NUMBERS, kind=st.sampled_from(("", *wire.ON_POSTS)))
    def ask_and_report(self, number: int, kind: str) -> None:
        for _ in range(2):
            self.world.ask(self.key(number))
        self.world.fault(wire.Fault(kind))
        self.world.advance(3)

    @rule(how=st.sampled_from(("kill_now", "restart", "cut_power")))
    def reopen(self, how: str) -> None:
        getattr(self.world, how)()

    @rule()
    def lose_the_disk(self) -> None:
        self.world.lose_disk()

    @rule(seconds=st.sampled_from((-DAY, -60, 60, DAY)))
    def set_the_gateways_clock(self, seconds: int) -> None:
        self.world.clock.set_wall(self.world.clock.now() + seconds)

    # ---- time ----

    @rule(seconds=st.sampled_from((1, 3, 6, 14, 40)))
    def wait(self, seconds: int) -> None:
        self.world.advance(seconds)

    @rule(days=st.sampled_from((1, 30, 91)))
    def wait_for_days(self, days: int) -> None:
        self.world.sleep(days * DAY)

    @rule()
    def converge(self) -> None:
        self.world.converge()

    @invariant()
    def holds(self) -> None:
        self.world.run()
        self.world.check()

    def teardown(self) -> None:
        try:
            self.world.converge()
        finally:
            self.world.close()


def limited_to(names: tuple[str, ...]) -> type[SyncMachine]:
    """The same machine with few of its rules."""
    found = {name for name in vars(SyncMachine) if hasattr(vars(SyncMachine)[name], RULE_MARKER)}
    assert found >= set(names)
    return type("Limited", (SyncMachine,), dict.fromkeys(found - set(names)))
