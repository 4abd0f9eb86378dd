"""The one source of time. Tests and the demo put a manual clock here and run the whole product under it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


def _system() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 -- the one place that asks the system


_source: list[Callable[[], datetime]] = [_system]


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return _source[-1]()


def timestamp() -> int:
    """The current instant in whole Unix seconds, as log and wire write it (EXACT 1)."""
    return int(now().timestamp())


@contextmanager
def running(source: Callable[[], datetime]) -> Iterator[None]:
    """Run everything inside under another clock."""
    _source.append(source)
    try:
        yield
    finally:
        _source.remove(source)
