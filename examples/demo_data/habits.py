"""How organisations call, as pure functions: a habit and an hour give the calls of that hour.

Each hour has a series of chances of its own, so the same seed and now give the same calls,
whichever hours are asked for and in which order.
"""

import random  # noqa: TID251 -- the same calls every time is what is wanted here
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from examples.demo_data.world import DAY

HOUR = 3600
SEED = "plimsoll"
FAILED_SHARE = 0.004
FIRST_GATEWAY_SHARE = 0.6
OFFICE = (0, 0, 0, 0, 0, 1, 3, 7, 10, 11, 10, 8, 9, 11, 10, 9, 6, 3, 2, 1, 1, 0, 0, 0)
EVENING = (2, 1, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 5, 7, 10, 13, 14, 13, 10, 7, 4)
ALWAYS = (1,) * 24
# Dollars for a million tokens, in and out: as many millionths of a dollar for one.
PRICES = {"opus-5": (5, 25), "sonnet-5": (3, 15), "haiku-4.5": (1, 5), "fable-5": (10, 50)}
TOKENS_A_SECOND = 90
_SATURDAY = 5


class Use(NamedTuple):
    """What a key is used for: a model, and the usual sizes in tokens. `share` among its neighbours."""

    key: str
    model: str
    share: float
    input_tokens: int
    output_tokens: int
    max_tokens: int


class Burst(NamedTuple):
    """Many calls within minutes, again and again. `before_end`: how long before the end the last was."""

    every_seconds: int
    before_end: int
    minutes: float
    calls: int
    use: Use


@dataclass(frozen=True, kw_only=True)
class Habit:
    """How an organisation calls from `begins` to `ends`, in days before the end.

    `a_day` is what an ordinary day has at the end; it has grown there `growth` times. `weekend` is
    what Saturdays and Sundays have of it.
    """

    org: str
    a_day: float = 0
    hours: Sequence[float] = ALWAYS
    weekend: float = 1
    begins: float = 35
    ends: float = 0
    growth: float = 1
    uses: Sequence[Use] = ()
    bursts: Sequence[Burst] = ()


class Call(NamedTuple):
    """One call. `seconds` until it is answered; `model` and tokens as the API reports them then."""

    at: float
    org: str
    key: str
    model: str
    input_tokens: int
    max_tokens: int
    output_tokens: int
    spend_microusd: int
    seconds: float
    is_failed: bool
    gateway: int


def calls_of(habit: Habit, hour: int, *, end: int, goes_on: bool = False) -> list[Call]:
    """The calls of one organisation in the hour that starts at a Unix second, unordered.

    `goes_on`: also after the end, as if it had not come yet.
    """
    calls = _Hour(habit, hour, end).calls()
    begins, ends = end - habit.begins * DAY, end - habit.ends * DAY
    return [call for call in calls if begins <= call.at < ends or (goes_on and not habit.ends)]


class _Hour:
    """An hour of an organisation, with its own chances."""

    def __init__(self, habit: Habit, start: int, end: int) -> None:
        self._habit = habit
        self._start = start
        self._end = end
        self._chance = random.Random(f"{SEED} {habit.org} {start - end}")  # noqa: S311 -- no secret

    def calls(self) -> Iterator[Call]:
        """Ordinary ones first, then those of bursts that begin in this hour."""
        habit, chance = self._habit, self._chance
        shares = [use.share for use in habit.uses]
        for _ in range(int(self._rate() + chance.random()) if shares else 0):
            (use,) = chance.choices(habit.uses, shares)
            yield self._call(use, self._start + chance.random() * HOUR)
        for burst in habit.bursts:
            last = self._end - burst.before_end
            first = last - (last - self._start) // burst.every_seconds * burst.every_seconds
            for at in range(first, self._start + HOUR, burst.every_seconds):
                for _ in range(int(burst.calls * chance.uniform(0.7, 1.2))):
                    yield self._call(burst.use, at + chance.random() * burst.minutes * 60)

    def _rate(self) -> float:
        habit, day = self._habit, self._start // DAY
        of_day: float = habit.hours[self._start % DAY // HOUR] / sum(habit.hours)
        # The epoch was a Thursday.
        of_week = habit.weekend if (day + 3) % 7 >= _SATURDAY else 1
        gone = (self._end - self._start) / DAY / (habit.begins - habit.ends)
        # No two days are alike.
        of_today = random.Random(f"{habit.org} {day - self._end // DAY}")  # noqa: S311 -- no secret
        mood = 0.75 + of_today.random() / 2
        return float(habit.a_day * of_day * of_week * mood / habit.growth**gone)

    def _call(self, use: Use, at: float) -> Call:
        habit, chance = self._habit, self._chance
        taken = 1 + int(use.input_tokens * chance.lognormvariate(-0.1, 0.45))
        made = 1 + int(use.output_tokens * chance.lognormvariate(-0.1, 0.45))
        made = min(made, use.max_tokens)
        price_in, price_out = PRICES[use.model]
        return Call(
            at=at,
            org=habit.org,
            key=f"{habit.org}/{use.key}",
            model=use.model,
            input_tokens=taken,
            max_tokens=use.max_tokens,
            output_tokens=made,
            spend_microusd=taken * price_in + made * price_out,
            seconds=0.4 + made / TOKENS_A_SECOND,
            is_failed=chance.random() < FAILED_SHARE,
            gateway=int(chance.random() >= FIRST_GATEWAY_SHARE),
        )
