"""`Enforcer.check` with four limits beside the `limits` package deciding over four in memory.

Calls that pass and calls that are refused apart, since a refusal has less to write. Processor time
of the calling thread, the best of rounds that take turns: other work on the machine counts little.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter

from bench.figures import keep
from plimsoll.contract.limits import Kind
from plimsoll.decision import Decision
from plimsoll.enforcer import Enforcer
from plimsoll.gateway import Gateway
from plimsoll.testing import FakePortal
from tests.library.rig import small_catalog

# Many short rounds: on a machine that does much else a few of them are left alone.
ROUNDS, CALLS = 50, 300
PLENTY = 10_000_000


class Gate:
    """A gateway's enforcer with one key, whose four limits leave so many requests a day."""

    def __init__(self, enforcer: Enforcer, secret: str) -> None:
        self.enforcer, self._secret = enforcer, secret

    def check(self) -> Decision:
        return self.enforcer.check(self._secret, model="m", input_tokens=10, max_tokens=10)

    def check_and_settle(self) -> None:
        self.enforcer.settle(self.check().id, output_tokens=5)


@contextmanager
def gate(folder: Path, *, requests: int = PLENTY, counters: str | None = None) -> Iterator[Gate]:
    """Ready to be asked; it counts in the server at the address `counters`, if there is one."""
    day = {"model": "*", "kind": Kind.WINDOW.value, "period": 86_400, "quota": requests}
    metrics = ("requests", "input_tokens", "output_tokens")
    portal = FakePortal()
    portal.publish(small_catalog(*({"metric": each, "quota": PLENTY} for each in metrics), day))
    key = portal.add_key(portal.add_org("build"))
    gateway = Gateway(
        folder,
        portal_url=portal.url,
        token=portal.token,
        transport=portal.transport(),
        counters=counters,
    )
    with gateway:
        while not gateway.enforcer.check(key.secret, model="m"):
            time.sleep(0.01)
        yield Gate(gateway.enforcer, key.secret)
        assert gateway.counters == ("shared" if counters else "local"), gateway.counters_problem


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        gate(Path(folder) / "passing") as passing,
        gate(Path(folder) / "refusing", requests=1) as refusing,
    ):
        assert passing.check()
        assert not refusing.check()
        passed, settled, refused, moving, moving_refused, fixed, fixed_refused = interleaved(
            passing.check,
            passing.check_and_settle,
            refusing.check,
            _theirs(MovingWindowRateLimiter),
            _theirs(MovingWindowRateLimiter, last=1),
            _theirs(FixedWindowRateLimiter),
            _theirs(FixedWindowRateLimiter, last=1),
            clock=time.thread_time,
        )
    keep(
        "check",
        {
            "Enforcer.check, four limits, passes": f"{passed:.1f} µs",
            "the same and its settlement": f"{settled:.1f} µs",
            "Enforcer.check, four limits, refused": f"{refused:.1f} µs",
            "limits, moving window, four hits": f"{moving:.1f} µs",
            "the same, the fourth refused": f"{moving_refused:.1f} µs",
            "limits, fixed window, four hits": f"{fixed:.1f} µs",
            "the same, the fourth is refused": f"{fixed_refused:.1f} µs",
            "check / moving window": round(passed / moving, 2),
            "check refused / moving window refused": round(refused / moving_refused, 2),
        },
    )


def _theirs(strategy: type[RateLimiter], *, last: int = PLENTY) -> Callable[[], object]:
    limiter = strategy(MemoryStorage())
    quotas = (PLENTY + 1, PLENTY + 2, PLENTY + 3, last)
    items = [RateLimitItemPerMinute(quota) for quota in quotas]

    def hit() -> None:
        for item in items:
            limiter.hit(item, "org", "m")

    return hit


def interleaved(
    *acts: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Microseconds a call of each, the best of rounds that take turns, so that all meet the same noise."""
    best = [float("inf")] * len(acts)
    for _ in range(ROUNDS):
        for place, act in enumerate(acts):
            began = clock()
            for _ in range(CALLS):
                act()
            best[place] = min(best[place], (clock() - began) / CALLS * 1e6)
    return best


if __name__ == "__main__":
    main()
