"""A portal, a wire, a gateway, their clocks, and whoever judges what becomes of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from plimsoll.decision import Code
from plimsoll.sync import Link
from plimsoll.tables import Head
from plimsoll.testing import FakeKey, ManualClock
from tests.model.baton import Baton, Killed
from tests.model.books import Books, unsent
from tests.model.gateway import Disk, ModelGateway, steps_of_files
from tests.model.oracle import Oracle
from tests.model.portal import DAY, ModelPortal
from tests.model.wire import Fault, Wire

# The longest wait of a gateway (a token that was refused), silence noticed, and then some.
BOUND_SECONDS = 180
MONTH = 30 * DAY
TIME_IS_WITHIN = 3.0


class World:
    """Everything that a history is made of; `close` it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.portal_clock, self.clock = ManualClock(), ManualClock()
        self.portal = ModelPortal(self.portal_clock)
        self.portal.issue()
        # So long ago that no clock is ever set back to before there was a limit.
        self.portal_clock.advance(MONTH)
        self.clock.advance(MONTH)
        self.disk = Disk()
        self._stack.callback(self.disk.close)
        self._stack.enter_context(steps_of_files(self.disk))
        self.oracle, self.books = Oracle(self.portal), Books(self.portal)
        self.disk.on_sync = self._on_sync
        self._is_saving = False
        self.gateway = self._open()
        self._stack.callback(self._end)
        self.run()

    def close(self) -> None:
        self._stack.close()

    def _open(self) -> ModelGateway:
        self.wire = Wire(self.portal, Baton(self.clock))
        self.wire.on_line, self.wire.on_report = self._on_line, self._on_report
        self.wire.on_stream = self.oracle.begin_stream
        self.wire.step = self.disk.step
        return ModelGateway(self.disk, self.wire, self.clock)

    def _on_line(self, line: bytes) -> None:
        self.oracle.take_line(line, is_stream=self.wire.open is None or self.wire.open.is_open)

    def _on_sync(self) -> None:
        self.books.sync()
        self.oracle.sync()

    def _on_report(self, body: bytes) -> None:
        self.oracle.check_report(self.gateway, body)

    # ---- time ----

    def run(self) -> None:
        """Let everything happen that can happen now."""
        with self.mortal():
            self.wire.pump()
            self.gateway.baton.run()
            self._visit()

    def advance(self, seconds: float) -> None:
        """Let time pass, from one event to the next."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            upto = min(self.gateway.baton.next_at(), self.wire.next_at(), end)
            self._tick(max(upto - self.clock.monotonic(), 0.001))
        self.save()

    def sleep(self, seconds: float) -> None:
        """Let much time pass at once, as for a machine that was suspended."""
        self._tick(seconds)

    def _tick(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.portal_clock.advance(seconds)
        self.wire.beat()
        self.run()

    def _visit(self) -> None:
        gateway = self.gateway
        file = gateway.store._path.name
        self.oracle.visit(gateway.head, file=file, now=gateway.replica.time.now())

    # ---- the gateway's life ----

    @contextmanager
    def mortal(self) -> Iterator[None]:
        """What the gateway does inside may be its last."""
        try:
            yield
        except Killed:
            self._rise("killed")

    def kill(self, steps: int) -> None:
        """Kill the process after so many more steps."""
        self.disk.steps_left = steps

    def kill_now(self) -> None:
        self.disk.keep("killed")
        self._rise("killed")

    def cut_power(self) -> None:
        """What was not synced is gone."""
        self._rise("synced")

    def restart(self) -> None:
        """Stop as a process ought to, and start."""
        self.save()
        self.kill_now()

    def lose_disk(self) -> None:
        """The gateway is set up anew, and enrolled again: the portal knows it by another id."""
        self._end()
        self.disk.wipe()
        self.oracle.forget()
        self.portal.usage.boot = self.portal.usage.seq = 0
        self.gateway = self._open()
        self.books.settle(self.gateway.store)
        self.books.unsaved.clear()
        self.books.sync()
        self.run()

    def _end(self) -> None:
        self.disk.steps_left = None
        self.oracle.killed()
        self.gateway.end()
        self.disk.is_dead = False

    def _rise(self, image: str) -> None:
        seen, was_saving = self.gateway.head, self._is_saving
        self._was_loading = self.wire.open is not None and not self.wire.open.is_open
        self._is_saving = False
        faults, token = self.wire.faults, self.wire.is_token_good
        self._end()
        self.disk.go_back(image)
        self.gateway = self._open()
        self.wire.faults, self.wire.is_token_good = faults, token
        if image == "killed":
            self._check_durable(seen)
            self.books.reopen(self.gateway.store, was_saving=was_saving)
        else:
            self.books.reopen_after_power_failure(self.gateway.store)
            self.oracle.power_failed(self.gateway.store)
        self.oracle.check_state(self.gateway)
        self.run()

    def _check_durable(self, seen: Head | None) -> None:
        """What could be seen before a kill is there after it, or what was about to be seen."""
        head = self.gateway.head
        if head == seen:
            return
        assert head is not None, "the state is gone"
        assert (
            seen is None
            or head.epoch != seen.epoch
            or head.revision > seen.revision
            or (self._was_loading)
        ), f"back from {seen} to {head}"

    # ---- requests ----

    def ask(self, key: FakeKey) -> None:
        """One request with a key, counted."""
        right = self.oracle.right_codes(key, self.gateway.head)
        decision = self.gateway.enforcer.check(key.secret, model="m", max_tokens=0)
        if decision.code is Code.LIMIT_EXCEEDED:
            assert Code.ALLOWED in right
            self.books.count(key.id, decision.limits[0].name)
            return
        assert decision.code in right
        if decision.key is not None:
            self.books.count(key.id, "requests" if decision.allowed else decision.code)

    def save(self) -> None:
        with self.mortal():
            self._is_saving = True
            self.gateway.enforcer.save()
            self._is_saving = False
            self.books.save()

    # ---- judging ----

    def check(self) -> None:
        """What holds at any instant."""
        self._visit()
        self.oracle.check(self.gateway)
        self.books.check(self.gateway.store)
        self._check_prompt()
        assert not self.gateway.surprises, self.gateway.surprises

    def _check_prompt(self) -> None:
        """On a stream that nothing has happened to, what is committed is there."""
        stream = self.wire.open
        if stream is None or not stream.is_open or not stream.is_clean or stream.is_ended:
            return
        if self.wire.faults or self.gateway.follower.standing().link is Link.DIVERGED:
            return
        assert self.is_level, f"{self.gateway.head} on a clean stream, not {self.portal.revision}"

    @property
    def is_level(self) -> bool:
        head, portal = self.gateway.head, self.portal
        return head is not None and (head.epoch, head.revision, head.digest) == (
            portal.epoch,
            portal.revision,
            portal.digest,
        )

    def _why_not(self) -> str:
        taken, store = self.portal.usage, self.gateway.store
        sent = store._read.execute("SELECT boot, seq, code FROM batch").fetchall()
        return (
            f"level: {self.is_level}, time: {self._is_right_in_time}, {self.gateway.links[-4:]},"
            f" unsent: {unsent(store)}, batches {sent}, the portal is at {taken.boot}.{taken.seq}"
        )

    @property
    def _is_right_in_time(self) -> bool:
        """Whether the gateway knows what time it is at the portal."""
        behind = self.gateway.replica.time.now() - self.portal_clock.now()
        return abs(behind) <= TIME_IS_WITHIN

    def converge(self) -> None:
        """Faults stop; within a bound the gateway has all that the portal has, and the reverse."""
        self.wire.faults.clear()
        self.wire.is_last = False
        self.disk.steps_left = None
        self.portal.is_down, self.wire.is_token_good = False, True
        self.portal.usage.refuses.clear()
        self.save()
        waited = 0
        while not (self.is_level and self._is_right_in_time and not unsent(self.gateway.store)):
            assert waited < BOUND_SECONDS, self._why_not()
            self.advance(5)
            waited += 5
        self.oracle.is_lenient = False
        self.check()
        self.oracle.check_published(self.gateway)

    def fault(self, fault: Fault) -> None:
        """Something will go wrong with what comes by next."""
        self.wire.faults.append(fault)
        if fault.kind.startswith("flip"):
            self.oracle.is_lenient = True
