"""Tells the portal where this gateway stands (SYNC.md section 2, report).

A thread of its own with one slot: the newest position is sent, older unsent ones are not, since
one acknowledgement stands for all before it. Every gateway hears of a change at the same instant: a
portal that is quick to answer is told at once, one that has many of them later and less often, so that
no change that is still on its way to others waits behind what is said of it.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import orjson

import plimsoll
from plimsoll.reading import Nack
from plimsoll.replica import Replica
from plimsoll.spool import Spool
from plimsoll.transport import LinkLost, Portal, Refused

logger = logging.getLogger(__name__)

# How long to wait, in seconds, between the two that are given.
Jitter = Callable[[float, float], float]

_ACCEPTED = range(200, 300)
# However busy the portal is: so late at least, at most twice as late, and so far apart.
_LATE_SECONDS = 0.2
_APART_SECONDS = 0.5
# Reporting may take so much of the time, and what is known of the portal fades with each report.
_SHARE = 0.1
_FADES = 0.9


class Reporter:
    """Sends reports when asked to; what fails is sent again with the next one."""

    def __init__(
        self,
        replica: Replica,
        portal: Portal,
        spool: Spool,
        *,
        counters: Callable[[], str],
        link: Callable[[], str],
        jitter: Jitter,
    ) -> None:
        self.thread = threading.Thread(target=self._run, name="plimsoll-reporter", daemon=True)
        self._replica = replica
        self._portal = portal
        self._spool = spool
        self._counters = counters
        self._link = link
        self._jitter = jitter
        self._sent_at = -_APART_SECONDS
        # How long the portal takes to answer where many report at once.
        self._takes = 0.0
        self._is_connected = False
        self._wake = threading.Condition()
        self._is_due = False
        self._is_closed = False
        self._lag_ms = 0
        self._unsent: list[Nack] = []

    def start(self) -> None:
        """Begin to send."""
        self.thread.start()

    def send(self, lag_seconds: float | None = None) -> None:
        """Ask for a report of the position as it is now."""
        with self._wake:
            if lag_seconds is not None:
                self._lag_ms = round(lag_seconds * 1000)
            self._is_due = True
            self._wake.notify()

    def close(self) -> None:
        """Let the thread end after what it is at."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._is_due or self._is_closed)
                self._wake.wait_for(lambda: self._is_closed, self._pause())
                if self._is_closed:
                    return
                self._is_due = False
            try:
                self.send_once()
            except Exception:
                logger.exception("a report could not be made")

    def _pause(self) -> float:
        """Seconds until the next report; what comes meanwhile goes with it."""
        apart = min(self._takes / _SHARE, _APART_SECONDS)
        rest = self._sent_at + apart - self._replica.clock.monotonic()
        late = min(self._takes, _LATE_SECONDS)
        return max(rest, self._jitter(late, 2 * late))

    def _note_time(self, took: float) -> None:
        # The first goes over a connection that had to be made, which says nothing of those to come.
        if self._is_connected:
            self._takes = max(took, self._takes * _FADES)
        self._is_connected = True

    def send_once(self) -> None:
        """Send a report of the position as it is now; what fails is left to the next."""
        head = self._replica.head
        if head is None:
            return
        # No more are taken while some wait, so that a report stays one that the portal takes.
        self._unsent = self._unsent or self._replica.take_nacks()
        nacks = [nack._asdict() for nack in self._unsent]
        body = {"cursor": head.cursor, "nacks": nacks, "health": self._health(head.records)}
        self._sent_at = self._replica.clock.monotonic()
        try:
            status = self._portal.report(orjson.dumps(body))
        except (LinkLost, Refused) as error:
            logger.debug("a report was not sent: %s", error)
            self._is_connected = False
            return
        self._note_time(self._replica.clock.monotonic() - self._sent_at)
        if status in _ACCEPTED:
            self._unsent.clear()
        else:
            logger.warning("the portal answered a report with %d", status)

    def _health(self, records: int) -> dict[str, Any]:
        problem = self._replica.log_problem
        return {
            "version": plimsoll.__version__,
            "boot": self._replica.store.boot,
            "records": records,
            "lag_ms": self._lag_ms,
            "store_bytes": self._replica.store.size_bytes(),
            "spool": self._spool.left,
            "parked": self._spool.parked,
            "counters": self._counters(),
            "log_size": self._replica.logbook.size,
            # Said in each report, so that the portal hears of the end, too; a nack is said once.
            "link": self._link(),
            "log": "ok" if problem is None else problem.code,
        }
