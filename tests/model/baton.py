"""The threads of a gateway as greenlets: they run one at a time, in the same order each time.

Whatever a thread of the real gateway waits for (news on a stream, a while, to be woken) is asked of
a `Baton`, which then lets another one go on; so time is virtual, and a run can be repeated.
"""

from collections.abc import Callable
from typing import Self

from greenlet import getcurrent, greenlet

from plimsoll.clock import Clock

Ready = Callable[[], bool]


class Killed(BaseException):
    """The process ends here, without another step of any of its threads."""


class _Task:
    def __init__(self, run: Callable[[], None]) -> None:
        self.greenlet = greenlet(run)
        self.ready: Ready = lambda: True
        self.until: float | None = None

    @property
    def is_over(self) -> bool:
        return bool(self.greenlet.dead)


class Baton:
    """Hands the turn from one thread to the next; the test's own code has it in between."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[_Task] = []
        self._current: _Task | None = None

    def start(self, run: Callable[[], None]) -> None:
        """Let a function be a thread from now on."""
        self._tasks.append(_Task(run))

    def wait(self, ready: Ready, seconds: float | None = None) -> bool:
        """Called by a thread: go on when something holds, or after so many seconds; answers which."""
        task = self._current
        assert task is not None, "the test itself would wait for ever"
        task.ready = ready
        task.until = None if seconds is None else self._clock.monotonic() + seconds
        parent = task.greenlet.parent
        assert parent is not None
        parent.switch()
        return ready()

    def run(self) -> None:
        """Let the threads run until all of them wait."""
        turns = 0
        # Every one has a turn in each round, whatever the others did with theirs.
        while sum(self._turn(task) for task in self._tasks):
            turns += 1
            assert turns < 1000, "the gateway never comes to rest"

    def next_at(self) -> float:
        """When the first of those who wait for a time goes on."""
        times = [task.until for task in self._tasks if not task.is_over and task.until is not None]
        return min(times, default=float("inf"))

    def kill(self) -> None:
        """End the threads where they are."""
        for task in self._tasks:
            if task.greenlet and not task.is_over:
                self._switch(task, Killed)
        self._tasks.clear()

    # ---- inside ----

    def _turn(self, task: _Task) -> bool:
        is_due = task.until is not None and task.until <= self._clock.monotonic()
        if task.is_over or not (is_due or task.ready()):
            return False
        self._switch(task)
        return True

    def _switch(self, task: _Task, thrown: type[BaseException] | None = None) -> None:
        task.greenlet.parent = getcurrent()
        before, self._current = self._current, task
        try:
            if thrown is None:
                task.greenlet.switch()
            else:
                task.greenlet.throw(thrown)
        except Killed:
            if thrown is None:
                raise
        finally:
            self._current = before


class Pause:
    """Stands in for the `threading.Event` that a thread sleeps on."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton

    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        """Nobody closes a gateway of the model: it is killed, or ends between two steps."""

    def wait(self, seconds: float) -> bool:
        self._baton.wait(lambda: False, seconds)
        return False


class Wake:
    """Stands in for the `threading.Condition` that a thread is woken by."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def wait_for(self, predicate: Ready, timeout: float | None = None) -> bool:
        return predicate() or self._baton.wait(predicate, timeout)

    def notify(self) -> None:
        """Whoever waits is looked at in any case."""
