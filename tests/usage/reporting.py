"""What tests of usage pages share: what a gateway tells, in words of limits."""

from typing import Any

from tests.support.clocks import ManualClock
from tests.support.wire import Line

REQUESTS = "start.opus-5.requests.1m"


def bucket(
    clock: ManualClock, used: int, *, quota: int = 1000, seconds: int = 60
) -> dict[str, int]:
    """A counter of a bucket as it stands now, emptying evenly."""
    now = int(clock.at.timestamp())
    full_at = now + -(-used * seconds // quota)
    return {"used": used, "quota": quota, "full_at": full_at, "at": now}


def tell(line: Line, owner: str, name: str, fields: dict[str, Any], *rows: list[Any]) -> None:
    """One batch with one counter."""
    answer = line.send(*rows, counters=[[owner, name, fields]])
    assert answer.status_code == 200, answer.text
