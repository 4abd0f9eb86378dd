"""The clock of `plimsoll.testing`."""


class ManualClock:
    """A clock that stands until it is moved."""

    def __init__(self, at: float = 1_795_400_000.0) -> None:
        """Begin at a Unix second."""
        self._at = at
        self._elapsed = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return self._at

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass, on the wall and off it."""
        self._at += seconds
        self._elapsed += seconds

    def advance_ms(self, milliseconds: int) -> None:
        """Let so many milliseconds pass."""
        self.advance(milliseconds / 1000)

    def set_wall(self, at: float) -> None:
        """Set the wall clock as an operator would; no time passes."""
        self._at = at
