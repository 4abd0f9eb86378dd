"""Wakes whoever waits for commits of this process: watchers, the outbox, jobs. Wake-ups coalesce."""

import threading


class Wakeup:
    """A counter of commits that threads can wait on."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def notify(self) -> None:
        """Say that something was committed."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout: float) -> int:
        """Wait until the count differs from `seen`, at most `timeout` seconds; return the count."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, timeout)
            return self._count
