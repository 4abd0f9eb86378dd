"""Periodic work. Each job looks for a state and acts on it, so that running it twice, or in two processes, is safe.

A job runs at start, after each commit and every few seconds; there is no queue that could lose an entry.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.core import clock
from portal.core.db import Sessions, wakeup_of

log = logging.getLogger(__name__)

IDLE_SECONDS = 5.0
# Many commits in a row, such as those of a hundred thousand mails, wake the jobs only so often.
REST_SECONDS = 0.05


@dataclass(frozen=True)
class Job:
    """A name for the log, and a function that does all due work and says how much it did.

    One that waits for somebody else's server `is_slow`: a worker runs it beside the others.
    """

    name: str
    run: Callable[[], int]
    is_slow: bool = False


def paced(look: Callable[[], int], *, every: timedelta) -> Callable[[], int]:
    """The same look, taken at start and then only so often, whatever wakes it; one that raises counts as none."""
    looked_at: datetime | None = None

    def run() -> int:
        nonlocal looked_at
        now = clock.now()
        # A clock that was set back must not hold it up.
        if looked_at is not None and timedelta() <= now - looked_at < every:
            return 0
        done = look()
        looked_at = now
        return done

    return run


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
    """Runs the jobs until it is closed: a thread for each slow one, and one for all the others."""

    def __init__(self, jobs: Iterable[Job], sessions: Sessions) -> None:
        jobs = tuple(jobs)
        lanes = [[job for job in jobs if not job.is_slow], *([job] for job in jobs if job.is_slow)]
        self._wakeup = wakeup_of(sessions)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name="jobs", daemon=True)
            for lane in lanes
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def work(self) -> None:
        """Run until `stop()` is called, and to the end of the passes that are then under way."""
        self.start()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Ask the jobs to end after the passes that are under way."""
        self._stopping.set()
        self._wakeup.notify()

    def close(self, timeout: float = 1.5) -> None:
        """Stop, and wait for the threads at most `timeout` seconds."""
        self.stop()
        gives_up_at = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, gives_up_at - time.monotonic()))

    def _run(self, jobs: list[Job]) -> None:
        while not self._stopping.is_set():
            seen = self._wakeup.count
            run_all(jobs)
            self._stopping.wait(REST_SECONDS)
            self._wakeup.wait(seen, IDLE_SECONDS)
