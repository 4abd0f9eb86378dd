"""Limits in words, rendered from the record and from nothing else."""

from collections.abc import Iterable, Sequence

from plimsoll.contract.limits import METRICS, Cell, Limit, Period

MICROUSD_IN_CENT = 10_000
CENTS_IN_DOLLAR = 100
_PERIODS = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def measure(cell: Cell) -> str:
    """What a limit counts, and over what time: "requests per minute", "requests at once"."""
    title = METRICS[cell.metric].title
    return title if cell.period is None else f"{title} {per(cell.period)}"


def per(period: Period) -> str:
    """How a period reads: "per minute", "per 5 hours", "per calendar month", "at once"."""
    if period is None:
        return "at once"
    if period == "month":
        return "per calendar month"
    size, unit = next(pair for pair in _PERIODS if period % pair[0] == 0)
    count = period // size
    return f"per {unit}" if count == 1 else f"per {count:,} {unit}s"


def amount(metric: str, quota: int) -> str:
    """A quota as people read it, exact: "1,000"; money in dollars."""
    if METRICS[metric].unit != "microusd":
        return f"{quota:,}"
    if quota % MICROUSD_IN_CENT:
        return f"{quota:,} microdollars"
    dollars, cents = divmod(quota // MICROUSD_IN_CENT, CENTS_IN_DOLLAR)
    return f"${dollars:,}.{cents:02}" if cents else f"${dollars:,}"


def allowance(limit: Limit) -> str:
    """A limit in words, as "1,000 requests per minute" or "$100 of spend per calendar month"."""
    joint = " of " if METRICS[limit.cell.metric].unit == "microusd" else " "
    return amount(limit.cell.metric, limit.quota) + joint + measure(limit.cell)


def reading_order(cell: Cell) -> tuple[int, bool, int]:
    """Requests first, then tokens, then money, as the metrics are published; short periods first."""
    seconds = cell.period if isinstance(cell.period, int) else 0
    return (list(METRICS).index(cell.metric), cell.period == "month", seconds)


def listing(words: Iterable[str]) -> str:
    """Words joined as "a", "a and b", "a, b and c"."""
    found: Sequence[str] = list(words)
    if len(found) < 2:  # noqa: PLR2004 -- a list with a last and others before it
        return "".join(found)
    return f"{', '.join(found[:-1])} and {found[-1]}"
