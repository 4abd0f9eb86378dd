"""Use over time as pages and files show it: what was asked for, the charts, and refusals by limit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.fold import Policy
from plimsoll.contract.limits import ALL_MODELS, Limit
from portal.core import clock
from portal.keys.models import ApiKey, KeyLastUse
from portal.tiers.words import identity, limit_name, model_name
from portal.transparency.queries import policy
from portal.usage.charts import Chart, Slots, draw, fold
from portal.usage.packing import NOTHING, Figures
from portal.usage.queries import By, Series, Span, refused_by_limit, series_of

HOUR, DAY = 3600, 86_400
NO_MODEL = "no model named"
OTHER_MODELS = "other models"
_CODES = {
    "request_too_large": "Larger than a limit ever admits",
    "model_not_allowed": "A model that is not yours to call",
    "network_not_allowed": "From a network that the key does not allow",
    "key_paused": "The key was paused",
    "key_expired": "The key's time was over",
    "key_revoked": "The key was revoked",
    "org_suspended": "The organisation was suspended",
}
# What is counted, as figures name it, with its heading.
MEASURES = {
    "requests": "Requests",
    "input_tokens": "Input tokens",
    "output_tokens": "Output tokens",
    "refused": "Refused requests",
}


class Length(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


# Seconds that are shown, and seconds of one column.
LENGTHS = {
    Length.HOUR: (HOUR, 60),
    Length.DAY: (DAY, HOUR),
    Length.WEEK: (7 * DAY, 3 * HOUR),
    Length.MONTH: (30 * DAY, DAY),
}


@dataclass(frozen=True)
class Asked:
    """What a reader wants to see. `model` None: all; `keys` empty: all."""

    length: Length = Length.DAY
    by: By = By.MODEL
    model: str | None = None
    keys: tuple[str, ...] = ()

    @property
    def shown(self) -> "Asked":
        """What can be shown of it: chosen keys make it one by key, which is kept by the hour."""
        by = By.KEY if self.keys else self.by
        length = Length.DAY if self.is_too_fine else self.length
        return replace(self, by=by, length=length)

    @property
    def is_too_fine(self) -> bool:
        return self.length is Length.HOUR and (self.by is By.KEY or bool(self.keys))

    def slots(self) -> Slots:
        """The columns, of which the last is the one that now is in."""
        seconds, step = LENGTHS[self.length]
        end = clock.timestamp() // step * step + step
        return Slots(end - seconds, end, step)


@dataclass(frozen=True)
class Refusal:
    """How often a limit, or what else refuses, refused; `code` is its name."""

    title: str
    code: str
    count: int


@dataclass(frozen=True)
class History:
    """Use over time: a chart for each measure, and what refused. `names` of lines by model or key id."""

    asked: Asked
    slots: Slots
    charts: tuple[Chart, ...]
    refusals: tuple[Refusal, ...]


def get_history(
    session: Session, org_id: str, asked: Asked, *, keys: Mapping[str, str], limits: Sequence[Limit]
) -> History:
    """Use over time of an organisation that the caller has loaded, with its `limits` and names of keys."""
    asked, in_force = asked.shown, policy(session, clock.timestamp())
    slots, series = asked.slots(), _series(session, org_id, asked)
    names = _names(in_force, asked, series, keys=keys)
    charts = (
        draw(
            title=title,
            slots=slots,
            series=_named(fold(_column(series, measure), others="others"), names),
            limits=_comparable(limits, series, asked, metric=measure),
        )
        for measure, title in MEASURES.items()
    )
    return History(
        asked=asked,
        slots=slots,
        charts=tuple(charts),
        refusals=tuple(_refusals(session, in_force, org_id, slots=slots)),
    )


def list_models(session: Session) -> dict[str, str]:
    """The published models by slug, to choose one of."""
    in_force = policy(session, clock.timestamp())
    return {slug: model.name for slug, model in in_force.models.items()}


def rows_of(
    session: Session, org_id: str, asked: Asked, *, keys: Mapping[str, str]
) -> Iterator[tuple[int, str, str, Figures]]:
    """What the charts show, line by line for a file: instant, name, id, figures; oldest first."""
    asked = asked.shown
    series = _series(session, org_id, asked)
    names = _names(policy(session, clock.timestamp()), asked, series, keys=keys)
    for at in asked.slots().all:
        for name, line in sorted(series.items()):
            figures = line.get(at, NOTHING)
            if any(figures):
                yield at, names[name], name, figures


def _series(session: Session, org_id: str, asked: Asked) -> Series:
    slots = asked.slots()
    span = Span(slots.start, slots.end, slots.step)
    return series_of(session, org_id, span, by=asked.by, model=asked.model, keys=asked.keys)


def list_key_names(session: Session, org_id: str) -> dict[str, str]:
    """The organisation's keys by id, as charts name them, the last used first."""
    query = select(ApiKey.id, ApiKey.name, ApiKey.last_four).where(ApiKey.org_id == org_id)
    query = query.outerjoin(KeyLastUse, KeyLastUse.key_id == ApiKey.id)
    query = query.order_by(KeyLastUse.at.is_(None), KeyLastUse.at.desc(), ApiKey.name_folded)
    return {row.id: f"{row.name} …{row.last_four}" for row in session.execute(query)}


def _names(
    in_force: Policy, asked: Asked, series: Series, *, keys: Mapping[str, str]
) -> dict[str, str]:
    if asked.by is By.KEY:
        return {name: keys.get(name, name) for name in series}
    special = {"": NO_MODEL, "…": OTHER_MODELS}
    return {name: special.get(name) or model_name(in_force, name) for name in series}


def _named(
    lines: Mapping[str, dict[int, int]], names: Mapping[str, str]
) -> dict[str, dict[int, int]]:
    return {names.get(name, name): line for name, line in lines.items()}


def _column(series: Series, measure: str) -> dict[str, dict[int, int]]:
    """One measure of all lines that have any of it."""
    columns = {
        name: {at: getattr(figures, measure) for at, figures in line.items()}
        for name, line in series.items()
    }
    return {name: column for name, column in columns.items() if any(column.values())}


def _comparable(
    limits: Sequence[Limit], series: Series, asked: Asked, *, metric: str
) -> list[Limit]:
    """Those limits that the columns' full height can be held against.

    A model's, where only that is shown; those of all models together, where all are. Some keys of
    several make less than what counts.
    """
    if asked.keys:
        return []
    only = asked.model
    if only is None and asked.by is By.MODEL and len(series) == 1:
        only = next(iter(series))
    wanted = {ALL_MODELS} if only is None else {only}
    return [each for each in limits if each.cell.metric == metric and each.cell.model in wanted]


def _refusals(
    session: Session, in_force: Policy, org_id: str, *, slots: Slots
) -> Iterator[Refusal]:
    names = {cell.name: limit_name(in_force, identity(cell)) for cell in in_force.limits}
    span = Span(slots.start // HOUR * HOUR, slots.end, HOUR)
    for name, count in refused_by_limit(session, org_id, span).items():
        yield Refusal(names.get(name) or _CODES.get(name) or name, name, count)
