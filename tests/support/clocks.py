"""Time that moves only when a test says so."""

from datetime import UTC, datetime, timedelta

# A Monday, so that days and weeks of the published windows are easy to reckon.
START = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
BUILT_AT = START - timedelta(hours=1)


class ManualClock:
    """What `portal.core.clock` asks while a test runs under it."""

    def __init__(self, at: datetime = START) -> None:
        self._at = at

    def __call__(self) -> datetime:
        return self._at

    @property
    def at(self) -> datetime:
        return self._at

    def advance(self, **duration: float) -> None:
        """Move on by a duration as `timedelta` takes it: `advance(minutes=5)`."""
        self._at += timedelta(**duration)

    def set(self, at: datetime) -> None:
        self._at = at


class GatewayClock:
    """The test's clock as a gateway asks it: the wall and what passes on it are one."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.at.timestamp()

    def monotonic(self) -> float:
        return self._clock.at.timestamp()
