"""Charts as the server draws them: stacked columns in SVG, whose numbers all stand in a table behind. Pure.

Lengths across are per cent, so that a chart is as wide as its page; heights are pixels of the drawing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from plimsoll.contract.limits import Limit, Period
from plimsoll.contract.wording import amount, per

HOUR, DAY = 3600, 86_400
TOP, BASE = 22, 182  # pixels: the plot's upper edge and its ground line
# More lines than people and patterns can tell apart.
SERIES_MAX = 5
# A limit that would press the use into the ground is told in words instead.
LIMIT_ROOM = 4
GAP_SHARE = 0.2
_NICE: tuple[float, ...] = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Slots:
    """The columns of a chart: `step` seconds each, from `start` to before `end` (Unix seconds)."""

    start: int
    end: int
    step: int

    @property
    def all(self) -> range:
        return range(self.start, self.end, self.step)

    def x(self, at: int) -> float:
        """Where a slot begins, in per cent."""
        return round((at - self.start) / (self.end - self.start) * 100, 3)

    @property
    def width(self) -> float:
        return round(self.step / (self.end - self.start) * 100 * (1 - GAP_SHARE), 3)

    @property
    def each(self) -> str:
        """What a column stands for: "minute", "3 hours"."""
        return per(self.step).removeprefix("per ")


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    height: float


@dataclass(frozen=True)
class Mark:
    """A label at a place: per cent across for times, pixels down for amounts."""

    place: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class Line:
    """What one pattern of the chart stands for, with its sum and its part of each column."""

    name: str
    series: int
    total: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Row:
    """A row of the table: a slot, what each line took in it, and the sum."""

    at: int
    values: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Chart:
    """A drawn chart. `ceiling`: the line of the limit, where it fits; `about_limit` says it in words."""

    title: str
    summary: str
    slots: Slots
    lines: tuple[Line, ...]
    times: tuple[Mark, ...]
    amounts: tuple[Mark, ...]
    rows: tuple[Row, ...]
    ceiling: Mark | None
    is_over: bool
    about_limit: str | None
    base: int = BASE
    height: int = BASE + 22

    @property
    def is_drawn(self) -> bool:
        return any(line.bars for line in self.lines)


def draw(
    *,
    title: str,
    slots: Slots,
    series: Mapping[str, Mapping[int, int]],
    limits: Sequence[Limit] = (),
) -> Chart:
    """The chart of amounts by line and slot; `limits` are those that its slots can be held against."""
    stacks = {at: [max(0, line.get(at, 0)) for line in series.values()] for at in slots.all}
    highest = max((sum(stack) for stack in stacks.values()), default=0)
    limit = tightest(limits, slots.step)
    allowed = None if limit is None else per_slot(limit, slots.step)
    fits = allowed is not None and highest > 0 and allowed <= highest * LIMIT_ROOM
    top = nice(max(highest, (allowed or 0) if fits else 0))
    totals = {name: sum(line.values()) for name, line in series.items()}
    bars = _bars(slots, stacks, top)
    return Chart(
        title=title,
        summary=_summary(slots, total=sum(totals.values()), highest=highest),
        slots=slots,
        lines=tuple(
            Line(name, place, totals[name], tuple(bars[place])) for place, name in enumerate(series)
        ),
        times=tuple(_times(slots)),
        amounts=tuple(_amounts(top)),
        rows=tuple(_rows(slots, series)),
        ceiling=Mark(_y(allowed, top), f"limit {_limit_words(limit, slots)}")
        if fits and limit and allowed
        else None,
        is_over=bool(allowed is not None and highest > allowed),
        about_limit=None if limit is None or fits else _far(limit, slots, highest=highest),
    )


def fold(series: Mapping[str, Mapping[int, int]], *, others: str) -> dict[str, dict[int, int]]:
    """The largest lines, and all the rest as one; largest first."""
    ordered = sorted(series, key=lambda name: (-sum(series[name].values()), name))
    found = {name: dict(series[name]) for name in ordered[:SERIES_MAX]}
    if rest := ordered[SERIES_MAX:]:
        sums = found[f"{others} ({len(rest):,})"] = {}
        for name in rest:
            for at, value in series[name].items():
                sums[at] = sums.get(at, 0) + value
    return found


def tightest(limits: Sequence[Limit], step: int) -> Limit | None:
    """Of the limits that begin anew within a slot the one that allows least in it."""
    fitting = [limit for limit in limits if _fits(limit.cell.period, step) and limit.quota]
    return min(fitting, key=lambda limit: per_slot(limit, step), default=None)


def _fits(period: Period, step: int) -> bool:
    return isinstance(period, int) and step % period == 0


def per_slot(limit: Limit, step: int) -> int:
    """What a limit lets through in a slot, if all of it is used evenly."""
    period = limit.cell.period
    return limit.quota * step // period if isinstance(period, int) else limit.quota


def nice(highest: int) -> int:
    """The top of a scale: a round number that is not below the highest."""
    if highest <= 1:
        return 1
    size: int = 10 ** (len(str(highest)) - 1)
    tops = (round(step * size) for step in _NICE)
    return next(top for top in tops if top >= highest)


def _amounts(top: int) -> Iterator[Mark]:
    """The scale: its top in figures, where no column reaches, and half of it as a line alone."""
    yield Mark(_y(top, top), f"{top:,}")
    if top % 2 == 0:
        yield Mark(_y(top // 2, top), "")


def _y(value: int, top: int) -> float:
    return round(BASE - value / top * (BASE - TOP), 1)


def _bars(slots: Slots, stacks: Mapping[int, Sequence[int]], top: int) -> Mapping[int, list[Bar]]:
    """Of each line, by its place, the parts of columns: stacked on those of the lines before."""
    bars: dict[int, list[Bar]] = defaultdict(list)
    for at, stack in stacks.items():
        below = 0
        for place, value in enumerate(stack):
            if value:
                y = _y(below + value, top)
                bars[place].append(Bar(slots.x(at), y, round(_y(below, top) - y, 1)))
            below += value
    return bars


def _times(slots: Slots) -> list[Mark]:
    """Five instants along the ground line, the outer ones kept inside."""
    columns, marks = len(slots.all), []
    for quarter in range(5):
        at = slots.start + columns * quarter // 4 * slots.step
        anchor = "start" if quarter == 0 else "end" if quarter == 4 else "middle"  # noqa: PLR2004 -- the last
        form = "%H:%M" if slots.end - slots.start <= DAY else "%d %b"
        text = datetime.fromtimestamp(at, UTC).strftime(form if quarter else f"{form} UTC")
        marks.append(Mark(slots.x(at), text, anchor))
    return marks


def _rows(slots: Slots, series: Mapping[str, Mapping[int, int]]) -> list[Row]:
    """Newest first; slots in which nothing happened are left out."""
    rows = []
    for at in reversed(slots.all):
        values = tuple(line.get(at, 0) for line in series.values())
        if any(values):
            rows.append(Row(at, values, sum(values)))
    return rows


def _summary(slots: Slots, *, total: int, highest: int) -> str:
    if not total and not highest:
        return "None."
    each = slots.each
    within = f"in {each}" if each[0].isdigit() else f"in one {each}"
    return f"{total:,} in all, at most {highest:,} {within}."


def _limit_words(limit: Limit, slots: Slots) -> str:
    metric, period = limit.cell.metric, limit.cell.period
    own = f"{amount(metric, limit.quota)} {per(period)}"
    return (
        own if period == slots.step else f"{own}: {per_slot(limit, slots.step):,} {per(slots.step)}"
    )


def _far(limit: Limit, slots: Slots, *, highest: int) -> str:
    share = highest * 100 // per_slot(limit, slots.step)
    words = _limit_words(limit, slots)
    reached = (
        f"the highest column is {share} % of it"
        if share
        else "the highest column is under 1 % of it"
    )
    return f"The limit of {words} lies far above this scale: {reached}."
