"""What a limit is: its identity, its values, its public name and its periods.

LIMITS.md section 1; names and slugs are EXACT.md 19, bursts EXACT.md 12.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

# A double holds every integer below this exactly, and so does Redis' Lua.
EXACT_BOUND = 2**53

# 9000-01-01T00:00:00Z, for instants: with any length added they stay within what calendars hold.
INSTANT_BOUND = 221_845_392_000

# Windows are counted from here, a Monday: 1970-01-05T00:00:00Z.
ANCHOR_SECONDS = 4 * 86_400

# The model of a limit that all models share, and how it is called in a limit's name.
ALL_MODELS = "*"
ALL_MODELS_NAME = "all"

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,38}[a-z0-9])?")
_UNITS = ((604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_DECEMBER = 12


class Kind(StrEnum):
    """How a limit counts: continuous refill, fixed windows, or requests in flight."""

    BUCKET = "bucket"
    WINDOW = "window"
    CONCURRENCY = "concurrency"


# Seconds, a calendar month in UTC (windows only), or nothing (concurrency).
Period: TypeAlias = int | Literal["month"] | None


class Counted(StrEnum):
    """When a metric is charged (the counting rule of LIMITS.md section 1)."""

    # In full when the request is admitted.
    ADMISSION = "admission"
    # Reserved when the request is admitted, settled to what was produced.
    RESERVED = "reserved"
    # Unknown until settled: admitting asks for 1 and charges 0.
    SETTLED = "settled"
    # From admission until the request ends.
    IN_FLIGHT = "in_flight"


class MetricInfo(NamedTuple):
    """A metric, the unit it is published with and when it is charged."""

    name: str
    unit: str
    title: str
    counted: Counted


METRICS: Mapping[str, MetricInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            MetricInfo("requests", "request", "requests", Counted.ADMISSION),
            MetricInfo("input_tokens", "token", "input tokens", Counted.ADMISSION),
            MetricInfo("output_tokens", "token", "output tokens", Counted.RESERVED),
            MetricInfo("total_tokens", "token", "input and output tokens", Counted.RESERVED),
            MetricInfo("concurrent_requests", "request", "requests at once", Counted.IN_FLIGHT),
            MetricInfo("spend_microusd", "microusd", "spend", Counted.SETTLED),
        )
    }
)


class InvalidField(ValueError):
    """A field that cannot be accepted; `path` says which (`rows[3].quota`), `text` why."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(f"{path}: {text}" if path else text)
        self.path = path
        self.text = text


class UnknownField(InvalidField):
    """A field that this version does not know: perhaps of a newer form."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The identity of a limit: tier, model, metric, kind and period. Sorts by tier first."""

    tier: str
    model: str
    metric: str
    kind: Kind
    period: Period

    @property
    def sort_key(self) -> tuple[str, bool, str, str, str, int]:
        """The order of limits on pages: per tier, limits of single models before shared ones."""
        shared = self.model == ALL_MODELS
        return (self.tier, shared, self.model, self.metric, self.kind, _period_rank(self.period))

    def __lt__(self, other: "Cell") -> bool:
        return self.sort_key < other.sort_key

    @property
    def name(self) -> str:
        """The public name, as `build.sonnet-5.input_tokens.1m` (EXACT.md 19); never parsed."""
        model = ALL_MODELS_NAME if self.model == ALL_MODELS else self.model
        return f"{self.tier}.{model}.{self.metric}.{period_name(self.period)}"

    def to_wire(self) -> dict[str, Any]:
        """The five identity fields as they stand in a row of the log."""
        return {
            "tier": self.tier,
            "model": self.model,
            "metric": self.metric,
            "kind": self.kind.value,
            "period": self.period,
        }


@dataclass(frozen=True, slots=True)
class Limit:
    """A cell with its values: `quota` per period, and for buckets the most it holds at once."""

    cell: Cell
    quota: int
    burst: int | None = None

    @property
    def capacity(self) -> int:
        """The most that can be used at once: a bucket's burst, else the quota."""
        return _burst(self.quota, self.burst)

    def values(self) -> dict[str, Any]:
        """The `from` or `to` of a row in the log: quota, and burst for buckets (else null)."""
        return {"quota": self.quota, "burst": self.burst}

    def raised(self, *, quota: int, burst: int | None) -> "Limit":
        """This limit under a grant: quota and burst separately, by maximum."""
        higher = None if self.burst is None else max(self.burst, _burst(quota, burst))
        return Limit(self.cell, max(self.quota, quota), higher)

    def lowered(self, *, quota: int, burst: int | None) -> "Limit":
        """This limit under a cap: quota and burst separately, by minimum (after any grant)."""
        lower = None if self.burst is None else min(self.burst, _burst(quota, burst))
        return Limit(self.cell, min(self.quota, quota), lower)


def is_slug(text: object) -> bool:
    """Whether `text` may name a tier or a model (EXACT.md 19)."""
    return isinstance(text, str) and _SLUG.fullmatch(text) is not None


def period_name(period: Period) -> str:
    """`1m`, `5h`, `1w`, `month`, or `now` for concurrency: the largest whole unit."""
    if period is None:
        return "now"
    if period == "month":
        return "month"
    size, unit = next(pair for pair in _UNITS if period % pair[0] == 0)
    return f"{period // size}{unit}"


def period_seconds(period: int | Literal["month"], at: int) -> int:
    """The length in seconds of a period, for `month` of the month that holds Unix second `at`."""
    if period != "month":
        return period
    start, end = month_bounds(at)
    return end - start


def month_bounds(at: int) -> tuple[int, int]:
    """First second of the UTC calendar month that holds `at`, and of the next (EXACT.md 5)."""
    day = datetime.fromtimestamp(at, UTC)
    year, month = (day.year + 1, 1) if day.month == _DECEMBER else (day.year, day.month + 1)
    start = datetime(day.year, day.month, 1, tzinfo=UTC)
    return int(start.timestamp()), int(datetime(year, month, 1, tzinfo=UTC).timestamp())


def require_fields(
    value: object, path: str, *, required: frozenset[str], optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The object at `path` if it has exactly the known fields.

    Raises:
        InvalidField: not an object, an unknown field or a missing one, with the field's path.
    """
    if not isinstance(value, dict):
        raise InvalidField(path, "must be an object")
    prefix = f"{path}." if path else ""
    unknown = sorted(str(name) for name in value if name not in required | optional)
    if unknown:
        raise UnknownField(f"{prefix}{unknown[0]}", "is not a known field")
    missing = sorted(required - value.keys())
    if missing:
        raise InvalidField(f"{prefix}{missing[0]}", "is missing")
    return value


def require_whole(value: object, path: str, *, least: int = 0) -> int:
    """`value` if it is a whole number from `least` to below 2**53; a boolean is not one.

    Raises:
        InvalidField: anything else.
    """
    if type(value) is not int:
        raise InvalidField(path, "must be a whole number")
    if value < least:
        raise InvalidField(path, f"must be {least} or more")
    if value >= EXACT_BOUND:
        raise InvalidField(path, "must be less than 2**53")
    return value


def require_instant(value: object, path: str) -> int:
    """`value` if it is a Unix second before the year 9000.

    Raises:
        InvalidField: anything else.
    """
    instant = require_whole(value, path)
    if instant >= INSTANT_BOUND:
        raise InvalidField(path, "must lie before the year 9000")
    return instant


def instant_or_none(value: object, path: str) -> int | None:
    """The same where there may be none."""
    return None if value is None else require_instant(value, path)


def require_choice(value: object, path: str, choices: Mapping[str, object] | list[str]) -> str:
    """`value` if it is one of the known names.

    Raises:
        InvalidField: anything else.
    """
    if not isinstance(value, str) or value not in choices:
        raise InvalidField(path, f"must be one of {', '.join(choices)}")
    return value


def parse_cell(row: Mapping[str, Any], path: str) -> Cell:
    """The identity in a row of a catalogue, a change or the log; `period` may be absent.

    Raises:
        InvalidField: a field has a wrong value, or kind, metric and period do not go together.
    """
    if not is_slug(row["tier"]):
        raise InvalidField(f"{path}.tier", "must be a slug")
    if row["model"] != ALL_MODELS and not is_slug(row["model"]):
        raise InvalidField(f"{path}.model", 'must be a slug or "*"')
    metric = require_choice(row["metric"], f"{path}.metric", METRICS)
    kind = Kind(require_choice(row["kind"], f"{path}.kind", [kind.value for kind in Kind]))
    if (kind is Kind.CONCURRENCY) != (METRICS[metric].counted is Counted.IN_FLIGHT):
        raise InvalidField(f"{path}.kind", f"{kind.value} cannot count {metric}")
    period = _parse_period(row.get("period"), f"{path}.period", kind)
    return Cell(row["tier"], row["model"], metric, kind, period)


def parse_values(row: Mapping[str, Any], path: str, cell: Cell) -> Limit:
    """Quota and burst of a cell, from a row or from the `from` / `to` of a row in the log.

    An absent or null burst of a bucket is its quota (EXACT.md 12).

    Raises:
        InvalidField: not whole, negative, a burst where none belongs, or too large to stay exact.
    """
    quota = require_whole(row["quota"], f"{path}.quota")
    given = row.get("burst")
    if cell.kind is not Kind.BUCKET:
        if given is not None:
            raise InvalidField(f"{path}.burst", "belongs to buckets only")
        return Limit(cell, quota)
    burst = quota if given is None else require_whole(given, f"{path}.burst")
    if (quota == 0) != (burst == 0):
        raise InvalidField(f"{path}.burst", "must be 1 or more, or 0 together with quota 0")
    if not stays_exact(quota=quota, burst=burst, period=cell.period):
        field = "quota" if quota >= burst else "burst"
        raise InvalidField(f"{path}.{field}", "times the period in milliseconds reaches 2**53")
    return Limit(cell, quota, burst)


def parse_row(row: object, path: str) -> tuple[Cell, Limit | None]:
    """A row of a catalogue or change file; `"quota": null` means no limit (EXACT.md 13).

    Raises:
        InvalidField: with the path of the offending field, as `rows[3].quota`.
    """
    fields = require_fields(row, path, required=_ROW_REQUIRED, optional=_ROW_OPTIONAL)
    cell = parse_cell(fields, path)
    if fields["quota"] is None:
        return cell, None
    return cell, parse_values(fields, path, cell)


def stays_exact(*, quota: int, burst: int, period: Period) -> bool:
    """Whether a bucket's amounts stay below 2**53 units (LIMITS.md section 1)."""
    return isinstance(period, int) and max(quota, burst) * period * 1000 < EXACT_BOUND


_ROW_REQUIRED = frozenset({"tier", "model", "metric", "kind", "quota"})
_ROW_OPTIONAL = frozenset({"period", "burst"})


def _parse_period(value: object, path: str, kind: Kind) -> Period:
    if kind is Kind.CONCURRENCY:
        if value is not None:
            raise InvalidField(path, "belongs to buckets and windows only")
        return None
    if value == "month":
        if kind is not Kind.WINDOW:
            raise InvalidField(path, "month belongs to windows only")
        return "month"
    return require_whole(value, path, least=1)


def _period_rank(period: Period) -> int:
    if period is None:
        return 0
    return 31 * 86_400 if period == "month" else period


def _burst(quota: int, burst: int | None) -> int:
    return quota if burst is None else burst
