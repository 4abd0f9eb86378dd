"""How a limit reads: the same words in a refusal of the rule, on pages and in mails."""

from plimsoll.contract.limits import METRICS, Cell, Period

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


def duration(seconds: int) -> str:
    """How long: "30 days", "72 hours", "1 day", "50 days 22 hours"; from 4 days on in days."""
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    if seconds > _DAYS_FROM and seconds % units[0][0]:
        counts = []
        for size, unit in units:
            count, seconds = divmod(seconds, size)
            counts += [_count(count, unit)] if count else []
        return " ".join(counts)
    # 72 hours stay hours, as the promise words them.
    size, unit = next(
        (size, unit)
        for size, unit in units
        if seconds % size == 0 and (unit != "day" or seconds >= _DAYS_FROM or seconds == size)
    )
    return _count(seconds // size, unit)


def _count(count: int, unit: str) -> str:
    return f"1 {unit}" if count == 1 else f"{count:,} {unit}s"


# Less than this is told in hours.
_DAYS_FROM = 4 * 86_400
