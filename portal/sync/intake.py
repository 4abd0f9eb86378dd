"""What many gateways ask at once is answered together: who comes while one is served is served with the next.

After one change every gateway reports at once. A look-up and a commit to disk for each would make the last
receipt wait for all the others.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from portal.core.db import Sessions, reading, transaction
from portal.core.errors import Unavailable
from portal.core.secrets import digest
from portal.sync.commands import Report, take_reports
from portal.sync.models import Gateway
from portal.sync.queries import find_gateways_by_tokens

# The database is away or busy: to ask it for each alone would make all wait for one time-out each.
NOBODYS_FAULT = (OperationalError, InterfaceError, PoolTimeout, Unavailable)

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


@dataclass
class _Place(Generic[Asked, Answered]):
    """One in the queue, and what became of it: one of the answers, or an error."""

    asked: Asked
    answers: Sequence[Answered] = ()
    error: Exception | None = None
    is_done: bool = False


class Together(Generic[Asked, Answered]):
    """Threads that wait are served by whichever of them holds the pen."""

    def __init__(self, serve: Callable[[list[Asked]], list[Answered]]) -> None:
        """`serve` gives one answer for each that is asked, in their order."""
        self._serve = serve
        self._queue: list[_Place[Asked, Answered]] = []
        self._queueing = threading.Lock()
        self._serving = threading.Lock()

    def ask(self, asked: Asked) -> Answered:
        """The answer, once it is there."""
        place: _Place[Asked, Answered] = _Place(asked)
        with self._queueing:
            self._queue.append(place)
        with self._serving:
            if not place.is_done:
                self._serve_all()
        if place.error:
            raise place.error
        (answer,) = place.answers
        return answer

    def _serve_all(self) -> None:
        with self._queueing:
            places, self._queue = self._queue, []
        self._serve_these(places)
        for place in places:
            place.is_done = True

    def _serve_these(self, places: Sequence[_Place[Asked, Answered]]) -> None:
        try:
            answers = self._serve([place.asked for place in places])
        except Exception as error:  # noqa: BLE001 -- each of those who wait is told
            if len(places) == 1 or isinstance(error, NOBODYS_FAULT):
                for place in places:
                    place.error = error
                return
            # Whatever one of them asked, the others are served.
            for place in places:
                self._serve_these([place])
        else:
            for place, answer in zip(places, answers, strict=True):
                place.answers = (answer,)


class Intake:
    """One per process: who asks, and what they report."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._tokens = Together(self._find)
        self._reports = Together(self._take)

    def find(self, token: str) -> Gateway | None:
        """The enrolled gateway that a token belongs to, if the token is valid now."""
        return self._tokens.ask(digest(token))

    def take(self, gateway_id: str, report: Report) -> int | None:
        """Keep a report; returns once it is committed, with the revision that it counts for."""
        return self._reports.ask((gateway_id, report))

    def _find(self, digests: list[str]) -> list[Gateway | None]:
        with reading(self._sessions) as session:
            found = find_gateways_by_tokens(session, digests)
        return [found.get(each) for each in digests]

    def _take(self, said: list[tuple[str, Report]]) -> list[int | None]:
        with self._sessions() as session, transaction(session):
            return take_reports(session, said)
