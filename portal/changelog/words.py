"""Limits and tiers in words, rendered from the record and from nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from plimsoll.contract.limits import METRICS, Cell, Kind, Limit
from plimsoll.contract.wording import MICROUSD_IN_CENT, amount, measure, per

__all__ = [
    "allowance",
    "amount",
    "burst",
    "capital",
    "entry",
    "keys",
    "listing",
    "manner",
    "measure",
    "per",
    "percent",
    "requirement",
    "requirements",
    "spread",
]

DAY = 86_400
DAYS_IN_MONTH = 30
MINUS = "\u2212"
_ROUND = ((10**9, "billion"), (10**6, "million"))
_ENTRIES = {
    "automatic": "Automatically, once you meet the requirements",
    "request": "On request",
    "contact": "Talk to us",
}


def allowance(limit: Limit) -> str:
    """A limit in words: "1,000 requests per minute", "$100 of spend per calendar month"."""
    joint = " of " if METRICS[limit.cell.metric].unit == "microusd" else " "
    return amount(limit.cell.metric, limit.quota) + joint + measure(limit.cell)


def spread(limit: Limit) -> str | None:
    """The same in everyday terms: "1.44 million a day if spread evenly"; None where that says nothing.

    What a short period allows is told by the day, what a day allows by the hour.
    """
    period = limit.cell.period
    if period is None or limit.quota == 0:
        return None
    seconds = DAYS_IN_MONTH * DAY if period == "month" else period
    per_day = Fraction(limit.quota * DAY, seconds)
    shown, unit = (per_day / 24, "an hour") if seconds == DAY else (per_day, "a day")
    is_money = METRICS[limit.cell.metric].unit == "microusd"
    text = _money(shown) if is_money else _rough(shown)
    return f"{text} {unit} if spread evenly" if text else None


def _rough(number: Fraction) -> str | None:
    """A rough number, for what decides nothing: "1.44 million", "about 333"."""
    if number < 1:
        return None
    size, unit = next(((size, f" {unit}") for size, unit in _ROUND if number >= size), (1, ""))
    scaled = number / size
    places = 0 if not unit else max(0, 3 - len(str(int(scaled))))
    rounded = round(scaled, places)
    text = f"{float(rounded):,.{places}f}"
    text = text.rstrip("0").rstrip(".") if places else text
    return f"{'' if rounded == scaled else 'about '}{text}{unit}"


def _money(microusd: Fraction) -> str | None:
    cents = round(microusd / MICROUSD_IN_CENT)
    if not cents:
        return None
    about = "" if cents * MICROUSD_IN_CENT == microusd else "about "
    return about + amount("spend_microusd", cents * MICROUSD_IN_CENT)


def burst(limit: Limit) -> str | None:
    """How much of a bucket can go in one go, where that is not its quota."""
    if limit.burst is None or limit.burst == limit.quota:
        return None
    return f"at most {amount(limit.cell.metric, limit.burst)} in one go"


def manner(cell: Cell) -> str:
    """How the limit comes back."""
    if cell.kind is Kind.BUCKET:
        return "refills continuously"
    if cell.kind is Kind.CONCURRENCY:
        return "requests in flight"
    starts = {"month": "on the 1st", DAY: "each day", 7 * DAY: "each Monday"}.get(cell.period or 0)
    return f"starts anew {starts}, 00:00 UTC" if starts else "fixed windows"


def entry(kind: str) -> str:
    """How an organisation comes onto a tier."""
    return _ENTRIES[kind]


def requirement(name: str, wanted: int | bool) -> str | None:  # noqa: FBT001 -- as the record has it
    """What a tier requires; None where it requires nothing."""
    if not wanted:
        return None
    texts = {
        "email_confirmed": "a confirmed e-mail address",
        "second_factor": "a second factor at sign-in",
        "account_age_days": f"an account {wanted:,} {_days(wanted)} old",
        "active_days": f"use on {wanted:,} {_days(wanted)}",
        "paid_microusd": f"{amount('spend_microusd', wanted)} paid",
    }
    return texts[name]


def requirements(wanted: Mapping[str, int | bool]) -> str:
    """All that a tier requires, in one clause: "a confirmed e-mail address and use on 7 days"."""
    texts = (requirement(name, value) for name, value in wanted.items())
    return listing(text for text in texts if text) or "nothing"


def _days(count: int) -> str:
    return "day" if count == 1 else "days"


def keys(keys_max: int | None) -> str:
    """How many keys a tier allows."""
    if keys_max is None:
        return "no maximum"
    return f"up to {keys_max:,} live {'key' if keys_max == 1 else 'keys'}"


def percent(before: int, after: int) -> str:
    """The difference as "+50 %", a cut with U+2212 (EXACT 41); from 0 there is no percentage."""
    if not before:
        return "raised from 0"
    change = Fraction((after - before) * 100, before)
    whole = int(abs(change) + Fraction(1, 2))
    return f"{MINUS if change < 0 else '+'}{whole:,} %"


def listing(words: Iterable[str]) -> str:
    """Words in a row: "a", "a and b", "a, b and c"."""
    found: Sequence[str] = list(words)
    if len(found) < 2:  # noqa: PLR2004 -- a list with a last and others before it
        return "".join(found)
    return f"{', '.join(found[:-1])} and {found[-1]}"


def capital(text: str) -> str:
    """With a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]
