"""Lets organisations call, as their habits are, and gateways decide."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from examples.demo_data.gateways import Fleet
from examples.demo_data.habits import HOUR, Call, Habit, calls_of
from examples.demo_data.world import DAY, World
from plimsoll.decision import Code

_NEVER = Call(float("inf"), "", "", "", 0, 0, 0, 0, 0.0, is_failed=False, gateway=0)


class Traffic:
    """All calls in the order of time, decided and settled at their gateways."""

    def __init__(
        self,
        world: World,
        fleet: Fleet,
        habits: Sequence[Habit],
        *,
        begins_at: int,
        on_wall: Callable[[], None],
    ) -> None:
        """Nothing is called yet. `begins_at`: the whole hour of the first calls.

        `on_wall` is called when an organisation meets a limit, once a day for each: gateways report
        every few seconds, and an hour later the counters that were full then are empty again.
        """
        self._world = world
        self._fleet = fleet
        self._calls = _in_order(habits, begins_at, end=world.ends_at)
        self._next = next(self._calls)
        # What was admitted and is not answered yet, by the instant of the answer.
        self._open: list[tuple[float, int, int, str, Call]] = []
        self._number = 0
        # What the portal has to come to: (organisation, what) -> how many.
        self.totals: Counter[tuple[str, str]] = Counter()
        self._on_wall = on_wall
        self._met_on: dict[str, int] = {}

    def run_until(self, at: float) -> None:
        """Make every call before an instant, and move the clock there."""
        while self._next.at < at:
            call, self._next = self._next, next(self._calls)
            self._settle_until(call.at)
            self._make(call)
        self._settle_until(at)
        self._world.clock.set(at)

    def settle_all(self) -> None:
        """Answer what is still open, at the instant where the clock stands."""
        while self._open:
            self._settle(heapq.heappop(self._open))

    def _make(self, call: Call) -> None:
        held = self._world.keys.get(call.key)
        if held is None:
            return
        self._world.clock.set(call.at)
        decision = self._fleet.gateways[call.gateway].enforcer.check(
            held.secret,
            model=call.model,
            input_tokens=call.input_tokens,
            max_tokens=call.max_tokens,
            client_ip="198.51.100.200",
        )
        if decision:
            self._number += 1
            answer = (call.at + call.seconds, self._number, call.gateway, decision.id, call)
            heapq.heappush(self._open, answer)
            return
        self.totals[call.org, "refused"] += 1
        if decision.code is Code.LIMIT_EXCEEDED:
            self._meet(call)

    def _meet(self, call: Call) -> None:
        day = int(call.at // DAY)
        if self._met_on.get(call.org) != day:
            self._met_on[call.org] = day
            self._on_wall()

    def _settle_until(self, at: float) -> None:
        while self._open and self._open[0][0] <= at:
            self._world.clock.set(self._open[0][0])
            self._settle(heapq.heappop(self._open))

    def _settle(self, answer: tuple[float, int, int, str, Call]) -> None:
        *_, gateway, decision_id, call = answer
        self._fleet.gateways[gateway].enforcer.settle(decision_id, **took(call))
        if not call.is_failed:
            self.totals[call.org, "requests"] += 1
            self.totals[call.org, "input_tokens"] += call.input_tokens
            self.totals[call.org, "output_tokens"] += call.output_tokens


def took(call: Call) -> dict[str, Any]:
    """What is said when a call is settled."""
    if call.is_failed:
        return {"failed": True}
    return {"output_tokens": call.output_tokens, "spend_microusd": call.spend_microusd}


def _in_order(habits: Sequence[Habit], begins_at: int, *, end: int) -> Iterator[Call]:
    later: list[Call] = []
    for hour in range(begins_at, end, HOUR):
        calls = later + [call for habit in habits for call in calls_of(habit, hour, end=end)]
        # A burst may go on into the next hour.
        later = [call for call in calls if call.at >= hour + HOUR]
        yield from sorted(call for call in calls if call.at < hour + HOUR)
    while True:
        yield _NEVER
