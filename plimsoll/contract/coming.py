"""What limits will be next, as far as the log announces it: told beside the limits of now.

The check service, the portal's API and its meter all ask here, so that they cannot disagree.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from plimsoll.contract.adjustments import Cap, Grant
from plimsoll.contract.fold import Policy
from plimsoll.contract.history import History
from plimsoll.contract.limits import Cell, Kind, Limit


class Coming(NamedTuple):
    """A limit's next value: from Unix second `at` on, by the start or end of `change`.

    `limit` is None where the limit falls away.
    """

    name: str
    change: int
    at: int
    limit: Limit | None

    def to_json(self, *, effective_at: str) -> dict[str, Any]:
        """As `GET /limits` tells it; `effective_at` as people's JSON has instants."""
        values = {"quota": None, "burst": None} if self.limit is None else self.limit.values()
        return {
            "limit": self.name,
            "change": self.change,
            "effective_at": effective_at,
            **values,
        }


def coming_limits(
    history: History,
    limits: Iterable[Limit],
    *,
    grants: Iterable[Grant] = (),
    at: int,
    policy: Callable[[int], Policy],
) -> list[Coming]:
    """The next announced value of each of an organisation's `limits` (grants included), soonest first.

    What grants cover is not told: to the organisation nothing changes then. `policy` folds the log
    at a Unix second.
    """
    waiting = {limit.cell: limit for limit in limits}
    given, found = list(grants), []
    for instant in history.instants():
        if instant <= at or not waiting:
            continue
        for cell, number in _moved(history, instant):
            if cell not in waiting:
                continue
            held = policy(instant).limits.get(cell)
            then = raised(held.limit, given, instant) if held else None
            if then != waiting[cell]:
                del waiting[cell]
                found.append(Coming(cell.name, number, instant, then))
    return found


def raised(limit: Limit, grants: Iterable[Grant], at: float) -> Limit:
    """A tier's limit under those of an organisation's grants that are in force at a Unix second."""
    for grant in grants:
        is_on = grant.starts_at <= at and (grant.ends_at is None or at < grant.ends_at)
        if is_on and _identity(grant) == _identity(limit.cell):
            limit = limit.raised(quota=grant.quota, burst=grant.burst)
    return limit


def capped(cap: Cap, bases: Iterable[Limit]) -> Limit:
    """The limit of its own that a key's cap makes: never above the organisation's, one of `bases`."""
    cell = Cell("cap", cap.model, cap.metric, Kind(cap.kind), cap.period)
    found = (base for base in bases if _identity(base.cell) == _identity(cell))
    lowered = next(found, Limit(cell, cap.quota, cap.burst)).lowered(
        quota=cap.quota, burst=cap.burst
    )
    return Limit(cell, lowered.quota, lowered.burst)


def _moved(history: History, instant: int) -> Iterator[tuple[Cell, int]]:
    """The cells that a change which starts or ends at an instant names, with its number."""
    for number, change in history.changes.items():
        if instant in {change.effective_at, change.expires_at}:
            for row in change.announcement.rows:
                yield row.cell, number


def _identity(of: Cell | Cap | Grant) -> tuple[Any, ...]:
    return (of.model, of.metric, str(of.kind), of.period)
