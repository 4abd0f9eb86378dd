"""`Enforcer.check` with four limits beside the `limits` package deciding over four limits in memory."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from bench.figures import keep
from bench.world import make, serving
from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.store import Store
from plimsoll.sync import Follower

ROUNDS, CALLS = 7, 2000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = make(Path(folder) / "world", threads=8)
        ((_, secret),) = world.issue(1)
        token = world.enrol("gw")
        store = Store(Path(folder) / "gateway")
        replica = Replica(store)
        with serving(world) as url:
            follower = Follower(replica, url, token)
            follower.start()
            enforcer = Enforcer(replica)
            while not enforcer.check(secret, model="sonnet-5"):
                time.sleep(0.01)
            follower.close()
        ours, theirs = interleaved(lambda: _ours(enforcer, secret), _theirs())
        store.close()
    keep(
        "check",
        {
            "Enforcer.check, four limits, settle included": f"{ours:.1f} µs",
            "limits, moving window, four hits": f"{theirs:.1f} µs",
            "ratio": round(ours / theirs, 2),
        },
    )


def _ours(enforcer: Enforcer, secret: str) -> None:
    decision = enforcer.check(secret, model="sonnet-5", input_tokens=10, max_tokens=10)
    enforcer.settle(decision.id, output_tokens=10)


def _theirs() -> Callable[[], object]:
    limiter = MovingWindowRateLimiter(MemoryStorage())
    items = [RateLimitItemPerMinute(10_000_000 + number) for number in range(4)]

    def hit() -> None:
        for item in items:
            limiter.hit(item, "org", "sonnet-5")

    return hit


def interleaved(*acts: Callable[[], object]) -> list[float]:
    """Microseconds a call of each, the best of rounds that take turns, so that both meet the same noise."""
    best = [float("inf")] * len(acts)
    for _ in range(ROUNDS):
        for place, act in enumerate(acts):
            began = time.perf_counter()
            for _ in range(CALLS):
                act()
            best[place] = min(best[place], (time.perf_counter() - began) / CALLS * 1e6)
    return best


if __name__ == "__main__":
    main()
