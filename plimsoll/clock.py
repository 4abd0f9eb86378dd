"""Where the library gets its time from. Tests pass `plimsoll.testing.ManualClock` instead."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings: what the wall says, and what only ever moves forward."""

    def now(self) -> float:
        """Unix seconds by this machine's clock, which may be wrong and may be set."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start; never goes back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()  # noqa: TID251 - the one place where the library reads the wall

    def monotonic(self) -> float:
        """Seconds since some start; never goes back."""
        return time.monotonic()


# Whole seconds hide up to one second, and a message may be late by another.
_TOLERANCE_SECONDS = 2.0
# A clock that is set further than this is followed when a second message says the same.
_JUMP_SECONDS = 60.0


class PortalTime:
    """The portal's time: the last `now` heard plus the monotonic time since (SYNC.md section 3.7).

    `now` comes in whole seconds, cut down, so each message only says "at least". The latest of
    these bounds is kept, which never steps back within a second and so never turns an exact
    `retry_after_ms` into a refusal; a portal whose clock is really set is followed. One message
    alone does not set it far, since no digest covers `now`: a bit that was turned on the way would
    let keys expire.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Portal time minus monotonic time; None before the first message.
        self._lead: float | None = None
        # The same by the last message alone, and whether ever two of them agreed.
        self._said: float | None = None
        self._is_sure = False
        self._heard_at = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the portal has been heard since this process started."""
        return self._lead is not None

    def hear(self, now: int) -> None:
        """Take the `now` of a message, Unix seconds."""
        self._heard_at = self._clock.monotonic()
        lead = now - self._heard_at
        agrees = _are_near(lead, self._said)
        self._said = lead
        if self._is_sure and not agrees and not _are_near(lead, self._lead):
            return
        self._is_sure = self._is_sure or agrees
        if self._lead is None or lead > self._lead or self._lead - lead > _TOLERANCE_SECONDS:
            self._lead = lead

    def now(self) -> float:
        """Unix seconds by the portal's clock; by our own before the first message."""
        return self.at(self._clock.monotonic())

    def at(self, monotonic: float) -> float:
        """The same, when the monotonic clock was read already."""
        lead = self._lead
        return self._clock.now() if lead is None else monotonic + lead

    def age_seconds(self) -> float | None:
        """How long ago the portal was heard; None if not since this process started."""
        return None if self._lead is None else self._clock.monotonic() - self._heard_at

    def offset(self) -> float:
        """How far the portal's clock is ahead of ours, in seconds."""
        return self.now() - self._clock.now()


def _are_near(lead: float, other: float | None) -> bool:
    return other is not None and abs(lead - other) <= _JUMP_SECONDS


class SteadyTime:
    """Our wall clock at the start plus the monotonic time since: what buckets refill by.

    A bucket needs even time, not right time: a wall clock that is set while requests come must
    neither fill nor empty it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lead = clock.now() - clock.monotonic()

    def now(self) -> float:
        """Unix seconds, as even as the monotonic clock."""
        return self.at(self._clock.monotonic())

    def at(self, monotonic: float) -> float:
        """The same, when the monotonic clock was read already."""
        return monotonic + self._lead
