"""Counts what passes and what is refused, and tells the portal exactly once (SYNC.md sections 2, 3).

The enforcer counts into a `Tally` in memory; each save moves it to the store together with the
counters (`plimsoll.spool`); a thread of the follower sends it from there, one frozen batch after
the other. A batch is repeated, byte for byte, until the portal has answered it, also by the next
process after a kill: the portal knows from (boot, seq) whether it has counted it.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

from plimsoll.contract.windows import NEVER
from plimsoll.reading import Nack
from plimsoll.replica import Replica
from plimsoll.spool import Batch, Counts, Place, Spool
from plimsoll.transport import LinkLost, Portal, Refused, Unavailable

logger = logging.getLogger(__name__)

SEND_SECONDS = 2.0
# Between batches while more wait: what people do at the portal goes in between.
PAUSE_SECONDS = 0.05
BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 30.0
REFUSED_SECONDS = 60.0

MODEL_MAX = 64
# Names of models that nobody offers, per key and hour; callers choose them, and each costs a row.
ODD_MODELS_MAX = 20
OTHER_MODELS = "…"

# Of one request no more tokens are counted; limits take all. Callers choose max_tokens: a few of 2**53
# would else make a row that the portal refuses with all others of its batch, or that no store takes.
_COUNTED_MAX = 10**9


class Tally:
    """Counts since the last save. Everything is called under the enforcer's lock."""

    def __init__(self) -> None:
        self._rows: dict[Place, Counts] = {}
        self._odd_hour = 0
        self._odd: dict[str, set[str]] = {}

    def admit(self, place: Place, input_tokens: int, output_tokens: int) -> None:
        """A request passed, with what was reserved for its output."""
        counts = self._rows.get(place)
        if counts is None:
            counts = self._rows[place] = Counts()
        counts.requests += 1
        counts.input_tokens += _counted(input_tokens)
        counts.output_tokens += _counted(output_tokens)

    def settle(self, place: Place, held: tuple[int, ...], actual: tuple[int, ...]) -> None:
        """A request took other than it held; both begin with requests, input and output tokens."""
        if held[2] == actual[2] and held[1] == actual[1] and held[0] == actual[0]:
            return
        counts = self._rows.get(place)
        if counts is None:
            counts = self._rows[place] = Counts()
        counts.requests += actual[0] - held[0]
        counts.input_tokens += _counted(actual[1]) - _counted(held[1])
        counts.output_tokens += _counted(actual[2]) - _counted(held[2])

    def refuse(self, place: Place, name: str, *, is_known: bool) -> None:
        """A request was refused, by a limit's name or by a code; `is_known`: its model is offered."""
        if not is_known:
            minute, key, model = place
            place = (minute, key, self._bounded(minute, key, model))
        self._rows.setdefault(place, Counts()).refuse(name)

    def take(self) -> dict[Place, Counts]:
        """Hand out what was counted, and begin anew."""
        rows, self._rows = self._rows, {}
        return rows

    def give_back(self, rows: dict[Place, Counts]) -> None:
        """Take back what could not be saved."""
        for place, counts in rows.items():
            self._rows.setdefault(place, Counts()).add(counts)

    def _bounded(self, minute: int, key: str, model: str) -> str:
        # It goes through JSON and into a database: neither takes half a character or a NUL.
        named = "".join(each if each.isprintable() else "\ufffd" for each in model[:MODEL_MAX])
        if minute // 3600 != self._odd_hour:
            self._odd_hour, self._odd = minute // 3600, {}
        odd = self._odd.setdefault(key, set())
        if not named or named in odd:
            return named
        if len(odd) >= ODD_MODELS_MAX:
            return OTHER_MODELS
        odd.add(named)
        return named


def _counted(tokens: int) -> int:
    return tokens if tokens < _COUNTED_MAX else _COUNTED_MAX  # noqa: FURB136 -- min takes longer


def place_of(times: tuple[int, int], key_id: str, model: str) -> Place:
    """Where a request is counted: in the minute of the portal's clock (the first, in milliseconds)."""
    return times[0] // 60_000 * 60, key_id, model


def refusing_name(names: Iterable[str], waits: Sequence[int]) -> str:
    """What a refusal is counted under: the limit that refuses, of several the longest to wait for."""
    refusing = [(wait, name) for name, wait in zip(names, waits, strict=True) if wait]
    never = [name for wait, name in refusing if wait == NEVER]
    return never[0] if never else max(refusing)[1]


class Sender:
    """Sends what the spool holds; what fails is sent again, unchanged, for ever."""

    def __init__(
        self, replica: Replica, portal: Portal, *, jitter: Callable[[float, float], float]
    ) -> None:
        self.thread = threading.Thread(target=self._run, name="plimsoll-usage", daemon=True)
        self.spool = Spool(replica.store)
        self._replica = replica
        self._portal = portal
        self._jitter = jitter
        self._stop = threading.Event()
        self._failures = 0

    def start(self) -> None:
        """Begin to send."""
        self.thread.start()

    def close(self) -> None:
        """Let the thread end after what it is at."""
        self._stop.set()

    def send_once(self) -> float:
        """Send one batch, if there is one; answers how many seconds to wait before the next."""
        batch = self.spool.next(int(self._replica.time.now()))
        if batch is None:
            return SEND_SECONDS
        try:
            status, said = self._portal.usage(batch.body)
        except LinkLost as lost:
            return self._failed(str(lost))
        except Refused:
            # The follower, whose token it is too, says so loudly.
            self.spool.bound()
            return REFUSED_SECONDS
        except Unavailable as busy:
            return max(busy.retry_seconds, self._failed(str(busy)))
        return self._answered(batch, status, said)

    # ---- inside ----

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                seconds = self.send_once()
            except Exception:
                # A full disk must not end the sending: it may be emptied again.
                logger.exception("usage could not be sent")
                seconds = self._backoff()
            self._stop.wait(seconds)

    def _answered(self, batch: Batch, status: int, said: dict[str, Any]) -> float:
        if status == HTTPStatus.OK:
            self.spool.done(batch)
        elif status == HTTPStatus.UNPROCESSABLE_ENTITY:
            self._park(batch, said)
        elif status == HTTPStatus.CONFLICT and _is_place(said):
            self._move(batch, said)
            # Twice in a row is no longer an answer to what we did.
            self._failures += 1
            return 0.0 if self._failures == 1 else self._backoff()
        else:
            return self._failed(f"the portal answered {status}")
        self._failures = 0
        return PAUSE_SECONDS if self.spool.left else SEND_SECONDS

    def _park(self, batch: Batch, said: dict[str, Any]) -> None:
        code, row = str(said.get("code", "unknown")), said.get("row")
        text = f"row {row} of batch {batch.seq} of boot {batch.boot}: {code}"
        logger.error("the portal refuses usage (%s); the batch is kept aside in the store", text)
        self.spool.park(batch, code)
        self._replica.nack([Nack("usage", f"{batch.boot}.{batch.seq}", code[:40], text[:200])])

    def _move(self, batch: Batch, said: dict[str, Any]) -> None:
        boot = said.get("boot")
        place = (batch.boot, said["expect"]) if boot is None else (boot + 1, 1)
        logger.warning("the portal has another count of batches (%s); going on from there", said)
        self.spool.renumber(batch, boot=place[0], seq=place[1])

    def _failed(self, reason: str) -> float:
        logger.debug("usage was not sent: %s", reason)
        self.spool.bound()
        return self._backoff()

    def _backoff(self) -> float:
        ceiling = min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        return self._jitter(0.0, ceiling)


def _is_place(said: dict[str, Any]) -> bool:
    return type(said.get("boot", said.get("expect"))) is int
