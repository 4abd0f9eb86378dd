"""What pages and mails show of a limit: the gates' counters in words, with what is announced."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.adjustments import Cap
from plimsoll.contract.coming import Coming, capped, coming_limits
from plimsoll.contract.fold import Policy
from plimsoll.contract.limits import METRICS, Kind, Limit, Period
from plimsoll.contract.windows import window_bounds
from plimsoll.contract.wording import MICROUSD_IN_CENT, amount
from portal.changelog.table import page_order
from portal.core import clock
from portal.keys.models import ApiKey, KeyState
from portal.orgs.models import Org
from portal.tiers.queries import open_grants
from portal.tiers.words import identity as identity_of
from portal.tiers.words import limit_name, model_name
from portal.transparency.queries import policy, signed_log
from portal.usage.meter import Gauge, cap_counters, cap_gauges, gauge, held_limits, meter
from portal.usage.models import UsageCursor, UsageWarning

NEAR_PERCENT = 80
CAPS = "Caps of your keys, near their mark"
_THIS = {60: "this minute", 3600: "this hour", 86_400: "today", 604_800: "this week"}


@dataclass(frozen=True)
class Future:
    """A limit's announced value: its mark on the scale (None: it falls away), from when, by which change."""

    quota: int | None
    text: str
    at: int
    change: int


@dataclass(frozen=True)
class LoadLine:
    """One limit as a load line: `used` against `mark`, and all of it in words.

    `free_at`: when the window ends or the bucket is full again; `heard_at`: when a gateway last told
    of a change (Unix seconds both).
    """

    name: str
    model: str
    title: str
    metric: str
    used: int
    mark: int
    text: str
    free_words: str
    free_at: int | None
    heard_at: int | None
    note: str | None = None
    future: Future | None = None

    @property
    def percent(self) -> int:
        """How full it is, cut down; more than 100 where it was crossed."""
        return self.used * 100 // self.mark if self.mark else 0

    @property
    def is_near(self) -> bool:
        return not self.mark or self.percent >= NEAR_PERCENT

    def words(self, is_whole: bool) -> str:  # noqa: FBT001 -- templates call it
        """Use and limit; where not all is known, no more than is."""
        if is_whole:
            return self.text
        _, _, limit = self.text.partition(" of ")
        return f"at least {self.text}" if self.used else f"limit of {limit}; use not known"

    def say(self, number: int) -> str:
        """An amount in the limit's unit."""
        return said(self.metric, number)


@dataclass(frozen=True)
class Meter:
    """All limits of an organisation, or caps of a key, by model as pages name it; `limits` as gates have them."""

    lines: tuple[LoadLine, ...]
    limits: tuple[Limit, ...] = ()

    @property
    def by_model(self) -> Mapping[str, list[LoadLine]]:
        found: dict[str, list[LoadLine]] = {}
        for line in self.lines:
            found.setdefault(line.model, []).append(line)
        return found

    @property
    def fullest(self) -> list[LoadLine]:
        """Those of which anything is used, the fullest first; of full ones those that hold every key back."""
        used = (line for line in self.lines if line.used and line.mark)
        return sorted(
            used,
            key=lambda line: (-min(line.used / line.mark, 1), line.model == CAPS, line.name),
        )

    @property
    def closed(self) -> list[LoadLine]:
        """Those that admit nothing at all."""
        return [line for line in self.lines if not line.mark]

    @property
    def state(self) -> str:
        """What tells one look from another: whether anything changed."""
        return "-".join(f"{line.used:x}.{line.mark:x}" for line in self.lines)


def get_meter(session: Session, org_id: str) -> Meter:
    """The meter of an organisation that the caller has loaded, and so may see."""
    now = clock.timestamp()
    log = signed_log(session)
    gauges = sorted(meter(session, org_id, now), key=lambda each: page_order(each.limit.cell))
    limits = tuple(each.limit for each in gauges)
    coming = {
        each.name: each
        for each in coming_limits(
            log.history,
            limits,
            grants=open_grants(session, org_id, datetime.fromtimestamp(now, UTC)),
            at=now,
            policy=log.policy,
        )
    }
    in_force = log.policy(now)
    lines = [load_line(in_force, each, coming.get(each.limit.cell.name)) for each in gauges]
    caps = (
        _of_cap(key, load_line(in_force, each))
        for key, each in cap_gauges(session, org_id, limits, at=now)
    )
    # Before all else: what holds back one key is seen on no other line.
    return Meter((*(line for line in caps if line.is_near), *lines), limits)


def get_cap_meter(session: Session, org: Org, key: ApiKey) -> Meter:
    """The caps of a key that the caller has loaded, also those of which nothing is used.

    Empty where the key is refused whatever is left, as for models that it may not call.
    """
    caps = [cap for cap in (Cap(**each) for each in key.caps) if key.may_call(cap.model)]
    if not caps or org.suspended_at or key.state(clock.now()) is not KeyState.ACTIVE:
        return Meter(())
    now = clock.timestamp()
    in_force = policy(session, now)
    held = held_limits(session, in_force, org_id=org.id, at=now)
    told = cap_counters(session, org.id, lineage=key.lineage)
    limits = tuple(
        sorted((capped(cap, held) for cap in caps), key=lambda limit: page_order(limit.cell))
    )
    gauges = (gauge(each, told.get((key.lineage, each.cell.name), ()), now) for each in limits)
    return Meter(tuple(load_line(in_force, each) for each in gauges), limits)


def _of_cap(key: ApiKey, line: LoadLine) -> LoadLine:
    """The line of a cap: it says which key is held back where the limit itself has room."""
    title = f"Cap of {key.name} …{key.last_four} · {line.title}"
    note = f"{title}; {line.note}" if line.note else title
    return replace(line, model=CAPS, title=title, note=note)


def load_line(in_force: Policy, gauge: Gauge, coming: Coming | None = None) -> LoadLine:
    """A limit with its use, as people read it."""
    cell = gauge.limit.cell
    of = identity_of(cell)
    title = limit_name(in_force, of)
    free_words, free_at = _free(gauge)
    return LoadLine(
        name=cell.name,
        model=model_name(in_force, cell.model),
        title=title,
        metric=cell.metric,
        used=gauge.used,
        mark=gauge.capacity,
        text=_text(gauge),
        free_words=free_words,
        free_at=free_at,
        heard_at=gauge.heard_at,
        note=_note(gauge.limit),
        future=_future(coming),
    )


@dataclass(frozen=True)
class WarningShown:
    """A warning in words: which limit, how far it was, when; `until` its window ends (Unix seconds)."""

    title: str
    threshold: int
    text: str
    at: int
    until: int


def name_warnings(session: Session, warnings: Iterable[UsageWarning]) -> list[WarningShown]:
    """Warnings as people read them; of a limit that is no more, by its name."""
    in_force = policy(session, clock.timestamp())
    cells = {cell.name: cell for cell in in_force.limits}
    shown = []
    for each in warnings:
        cell = cells.get(each.name)
        title = limit_name(in_force, identity_of(cell)) if cell else each.name
        metric = cell.metric if cell else "requests"
        text = f"{taken(metric, each.used)} of {said(metric, each.quota)}"
        shown.append(WarningShown(title, each.threshold, text, each.at, each.until))
    return shown


def list_told(session: Session) -> dict[str, datetime]:
    """When each gateway, by id, last sent a report of usage."""
    rows = session.execute(select(UsageCursor.gateway_id, UsageCursor.at))
    return {gateway_id: at for gateway_id, at in rows}  # noqa: C416 -- rows are no pairs to mypy


def said(metric: str, number: int) -> str:
    """An amount: "1,234"; money in cents, cut down, so that no more is said to be left than is."""
    if METRICS[metric].unit == "microusd" and number > MICROUSD_IN_CENT:
        number -= number % MICROUSD_IN_CENT
    return amount(metric, number)


def taken(metric: str, number: int) -> str:
    """What is used of an amount; money in cents, rounded up: it never says less than the gates count."""
    if METRICS[metric].unit == "microusd":
        number = -(-number // MICROUSD_IN_CENT) * MICROUSD_IN_CENT
    return amount(metric, number)


def _text(gauge: Gauge) -> str:
    """ "43 of 50 requests this minute"."""
    cell = gauge.limit.cell
    title = METRICS[cell.metric].title
    if cell.kind is Kind.CONCURRENCY:
        title = "requests in flight"
    elif METRICS[cell.metric].unit == "microusd":
        title = "spent"
    over = "" if cell.kind is Kind.CONCURRENCY else f" {_this(cell.period)}"
    return f"{taken(cell.metric, gauge.used)} of {said(cell.metric, gauge.capacity)} {title}{over}"


def _this(period: Period) -> str:
    if period == "month":
        return "this month"
    if period in _THIS:
        return _THIS[period]
    seconds = period or 1
    size, unit = next(
        pair
        for pair in ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
        if seconds % pair[0] == 0
    )
    return f"in these {seconds // size:,} {unit}"


def _free(gauge: Gauge) -> tuple[str, int | None]:
    cell = gauge.limit.cell
    if cell.kind is Kind.CONCURRENCY:
        return "", None
    if cell.kind is Kind.BUCKET:
        return "Full again at", gauge.full_at
    return "Starts anew at", gauge.resets_at or window_bounds(cell.period, clock.timestamp())[1]


def _note(limit: Limit) -> str | None:
    """Where a bucket holds another amount than comes back in its period."""
    if limit.burst is None or limit.burst == limit.quota or not limit.quota:
        return None
    metric = limit.cell.metric
    return (
        f"{said(metric, limit.burst)} at once; {said(metric, limit.quota)} come back "
        f"{_this(limit.cell.period).replace('this ', 'a ').replace('in these', 'in')}"
    )


def _future(coming: Coming | None) -> Future | None:
    if coming is None:
        return None
    limit = coming.limit
    if limit is None:
        return Future(None, "no limit", coming.at, coming.change)
    mark = limit.capacity
    return Future(mark, f"limit {said(limit.cell.metric, mark)}", coming.at, coming.change)
