"""Takes the reports of many gateways in few transactions: who comes while one commits is committed with the next.

After one change every gateway acknowledges at once; a commit to disk each would make the last receipt wait
for all the others.
"""

import threading
from dataclasses import dataclass

from portal.core.db import Sessions, transaction
from portal.sync.commands import Report, take_report


@dataclass
class _Place:
    """One report in the queue, and what became of it."""

    gateway_id: str
    report: Report
    counted: int | None = None
    error: Exception | None = None
    is_done: bool = False


class Intake:
    """One per process. Threads that wait are served by whichever of them holds the pen."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._queue: list[_Place] = []
        self._queueing = threading.Lock()
        self._writing = threading.Lock()

    def take(self, gateway_id: str, report: Report) -> int | None:
        """Keep a report; returns once it is committed, with the revision that it counts for."""
        place = _Place(gateway_id, report)
        with self._queueing:
            self._queue.append(place)
        with self._writing:
            if not place.is_done:
                self._write()
        if place.error:
            raise place.error
        return place.counted

    def _write(self) -> None:
        with self._queueing:
            places, self._queue = self._queue, []
        try:
            with self._sessions() as session, transaction(session):
                for place in sorted(places, key=lambda place: place.gateway_id):
                    place.counted = take_report(
                        session, gateway_id=place.gateway_id, report=place.report
                    )
        except Exception as error:  # noqa: BLE001 -- each of those who wait is told
            for place in places:
                place.error = error
        for place in places:
            place.is_done = True
