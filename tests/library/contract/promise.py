"""What the notice rule promises to somebody who reads the log, without how it is kept.

Whoever looks at a log may ask of every step that took something away: since when could I read of
it? From the act on that wrote it there, and left it there, at least the notice had to run.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from plimsoll.contract.direction import tightens
from plimsoll.contract.limits import Cell, Kind, Limit
from tests.library.contract import naive

Entry = Mapping[str, Any]


class Loss(NamedTuple):
    """A step that takes something away, and what it takes."""

    at: int
    part: tuple[str, ...]
    before: Any
    after: Any


class Late(NamedTuple):
    """A loss that was to be read of for less time than promised."""

    loss: Loss
    seq: int
    notice: int
    needed: int


def late_losses(entries: list[Entry]) -> list[Late]:
    """All losses of a log that came sooner than promised."""
    prefixes = [naive.changes(entries[: count + 1]) for count in range(len(entries))]
    found = []
    for loss in _losses(prefixes[-1]):
        written = _written_by(entries, prefixes, loss)
        needed = _needed(entries, prefixes, loss, written)
        notice = loss.at - entries[written]["at"]
        if notice < needed:
            found.append(Late(loss, written, notice, needed))
    return found


def count_losses(entries: list[Entry]) -> int:
    return sum(1 for _ in _losses(naive.changes(entries)))


def _losses(known: Mapping[int, naive.Change]) -> Iterator[Loss]:
    instants = sorted({each.effective for each in known.values() if each.layer == "lasting"})
    for at in instants[1:]:
        before, after = naive.lasting(known, at - 1), naive.lasting(known, at)
        for part in _parts(before) | _parts(after):
            was, now = _value(before, part), _value(after, part)
            if _takes(part, was, now):
                yield Loss(at, part, was, _taking(part, was, now))


def _taking(part: tuple[str, ...], before: Any, after: Any) -> Any:
    """Of limits only those that take something: what stood beside them had a notice of its own."""
    if part[0] != "limit":
        return after
    return after[0], frozenset(limit for limit in after[1] if tightens(before[1], [limit]))


def _written_by(entries: list[Entry], prefixes: list[Any], loss: Loss) -> int:
    """The first entry from which on the log foretold the loss until it came."""
    written = len(entries) - 1
    for count in range(len(entries) - 1, -1, -1):
        if _is_half(entries, count):
            continue
        at = entries[count]["at"]
        if at < loss.at and not _foretells(prefixes[count], at, loss):
            break
        written = count
    return written


def _is_half(entries: list[Entry], count: int) -> bool:
    """A change that is replaced is withdrawn and announced anew in one act."""
    following = entries[count + 1 :][:1]
    replacing = entries[count]["body"].get("replaced_by") is not None
    return replacing and any(entry["at"] == entries[count]["at"] for entry in following)


def _foretells(
    known: Mapping[int, naive.Change], at: int, loss: Loss, own: set[naive.Cell] | None = None
) -> bool:
    """Whether the log says at `at` that at least as much will be gone, by then."""
    instants = sorted({at, *(each for each in naive.edges(known) if at < each <= loss.at)})
    values = [_value(naive.lasting(known, each), loss.part) for each in instants]
    if own is not None:
        values = [_own(value, own) for value in values]
    return any(
        _takes(loss.part, more, less)
        and not _takes(loss.part, loss.before, more)
        and not _takes(loss.part, less, loss.after)
        for index, less in enumerate(values)
        for more in values[:index]
    )


def _needed(entries: list[Entry], prefixes: list[Any], loss: Loss, written: int) -> int:
    entry = entries[written]
    notice = _policy(entries[:written], entry["at"])
    retires = loss.part[0] == "offer"
    full = notice["retirement_seconds" if retires else "tightening_seconds"]
    number = entry["body"].get("change")
    if entry["kind"] != "change.released" or prefixes[-1][number].effective != loss.at:
        return full
    own = set(prefixes[written][number].rows)
    itself = loss._replace(before=_own(loss.before, own))
    was_foretold = any(
        known[number].status == "announced"
        and (
            _foretells(known, entries[count]["at"], loss)
            or _foretells(known, entries[count]["at"], itself, own)
        )
        for count, known in enumerate(prefixes[:written])
        if number in known
    )
    left = prefixes[written - 1][number].notice_left
    return max(notice["released_seconds"], left) if was_foretold else full


def _own(value: Any, cells: set[naive.Cell]) -> Any:
    """Of limits those of some cells: what stood beside them had a notice of its own."""
    if not isinstance(value, tuple):
        return value
    offered, limits = value
    return offered, frozenset(
        each for each in limits if naive.cell_of(each.cell.to_wire()) in cells
    )


def _policy(entries: list[Entry], at: int) -> Mapping[str, int]:
    notice: Mapping[str, int] = entries[0]["body"]["notice"]
    for entry in entries:
        if entry["kind"] == "policy.changed" and entry["body"]["effective_at"] <= at:
            notice = entry["body"]["notice"]
    return notice


# ---- parts: all limits of a tier, model and metric; an offer; a reserve; the keys of a tier ----


def _parts(layer: naive.Layer) -> set[tuple[str, ...]]:
    return {
        *(("limit", *cell[:3]) for cell in layer.limits),
        *(("offer", *each) for each in layer.offers),
        *(("reserve", *each) for each in layer.reserve),
        *(("keys", tier) for tier in layer.keys_max),
    }


def _value(layer: naive.Layer, part: tuple[str, ...]) -> Any:
    kind, *name = part
    if kind == "offer":
        return tuple(name) in layer.offers
    if kind == "reserve":
        return layer.reserve.get((name[0], name[1]), 0)
    if kind == "keys":
        most = layer.keys_max.get(name[0])
        return 10**9 if most is None else most
    tier, model = name[:2]
    offered = any(of == tier and model in {"*", which} for of, which in layer.offers)
    limits = frozenset(
        _limit(cell, values) for cell, values in layer.limits.items() if list(cell[:3]) == name
    )
    return offered, limits


def _limit(cell: naive.Cell, values: naive.Values) -> Limit:
    tier, model, metric, kind, period = cell
    return Limit(Cell(tier, model, metric, Kind(kind), period), *values)


def _takes(part: tuple[str, ...], before: Any, after: Any) -> bool:
    kind = part[0]
    if kind == "limit":
        return before[0] and after[0] and tightens(before[1], after[1])
    if kind == "reserve":
        return bool(after > before)
    # An offer that is gone, fewer keys.
    return bool(after < before)
