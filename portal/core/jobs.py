"""Periodic work. Each job looks for a state and acts on it, so that running it twice, or in two processes, is safe.

A job runs at start, after each commit and every few seconds; there is no queue that could lose an entry.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from portal.core.db import Sessions, wakeup_of

log = logging.getLogger(__name__)

IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Job:
    """A name for the log, and a function that does all due work and says how much it did."""

    name: str
    run: Callable[[], int]


def run_all(jobs: Iterable[Job]) -> dict[str, int]:
    """One pass over all due work; a job that fails does not keep the others from running."""
    done: dict[str, int] = {}
    for job in jobs:
        try:
            done[job.name] = job.run()
        except Exception:
            log.exception("job %s failed and will be tried again", job.name)
            done[job.name] = -1
    return done


class Worker:
    """Runs the jobs in a thread until it is closed."""

    def __init__(self, jobs: Iterable[Job], sessions: Sessions) -> None:
        self._jobs = tuple(jobs)
        self._wakeup = wakeup_of(sessions)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.work, name="jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def work(self) -> None:
        """Run until `close()` is called."""
        while not self._stopping.is_set():
            seen = self._wakeup.count
            run_all(self._jobs)
            self._wakeup.wait(seen, IDLE_SECONDS)

    def stop(self) -> None:
        """Ask `work()` to end after the pass that is under way."""
        self._stopping.set()
        self._wakeup.notify()

    def close(self, timeout: float = 1.5) -> None:
        """Stop, and wait for the thread at most `timeout` seconds."""
        self.stop()
        self._thread.join(timeout)
