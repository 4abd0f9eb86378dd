"""The fold and the limits page over logs of 10, 100 and 1,000 changes: linear the one, flat the other."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.figures import keep
from bench.world import World, make
from plimsoll.contract import canonical
from plimsoll.contract.fold import policy_of
from plimsoll.contract.history import History, read
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.rules import check_next
from portal.changelog.commands import publish_change, read_draft
from portal.core import clock
from portal.core.actor import CLI
from portal.factory import create_app
from portal.transparency.queries import list_leaves
from portal.transparency.signer import log_transaction

SIZES = (10, 100, 1000)
# No log grows longer after this: the figures then say how long it came to be.
SECONDS_MAX = 150.0
# All within the hour that a signer's clock may be off.
APART_SECONDS, TOGETHER = 3, 25
ROUNDS, VIEWS = 5, 40
CELL = {"tier": "build", "model": "sonnet-5", "metric": "requests", "kind": "bucket", "period": 60}


def main() -> None:
    gives_up_at = time.monotonic() + SECONDS_MAX
    with tempfile.TemporaryDirectory() as folder:
        worlds = [_world(Path(folder) / f"{size}", size, gives_up_at) for size in SIZES]
        figures = [_measure(world) for world in worlds]
        for found, page_ms in zip(figures, _pages(worlds), strict=True):
            found["page_ms"] = page_ms
    result: dict[str, Any] = {f"{found.pop('changes'):,} changes": found for found in figures}
    result["page, most changes to fewest"] = _ratio(figures, "page_ms")
    result["fold per change, most to fewest"] = _ratio(figures, "fold_us_per_change")
    keep("fold", result)


def _world(data: Path, size: int, gives_up_at: float) -> World:
    """A log of so many changes until now, or fewer; each raises one limit by one."""
    first = clock.now() - timedelta(seconds=APART_SECONDS * size)
    with _at(first):
        world = make(data, threads=1)
    # Signed a few at a time: a signature for each would measure the disk, and one for all would
    # read what is not signed yet again and again.
    for start in range(1, size, TOGETHER):
        if time.monotonic() > gives_up_at:
            break
        with (
            world.sessions() as session,
            log_transaction(session, world.sessions, settings=world.settings, actor=CLI),
        ):
            for number in range(start, min(start + TOGETHER, size)):
                with _at(first + timedelta(seconds=APART_SECONDS * number)):
                    publish_change(session, actor=CLI, draft=read_draft(_raise_to(10_000 + number)))
    return world


@contextmanager
def _at(instant: datetime) -> Iterator[None]:
    with clock.running(lambda: instant):
        yield


def _raise_to(quota: int) -> bytes:
    rows = [{**CELL, "quota": quota}]
    return canonical.encode({"title": "One more", "reason": "There is room.", "rows": rows})


def _measure(world: World) -> dict[str, float]:
    with world.sessions() as session:
        leaves = [leaf.encode() for leaf in list_leaves(session)]
    entries = [canonical.decode(leaf) for leaf in leaves]
    changes, now, history = len(entries) - 1, clock.timestamp(), read(entries)
    assert policy_of(history, now).limits[_cell()].limit.quota == 9_999 + changes
    folded = _best(lambda: policy_of(read(entries), now))
    return {
        "changes": changes,
        "fold_ms": round(folded * 1000, 3),
        "fold_us_per_change": round(folded / changes * 1e6, 1),
        "step_ms": round(_best(lambda: _step(history, entries[-1])) * 1000, 3),
        "rule_ms": round(_once(lambda: _check_all(entries)) * 1000, 1),
    }


def _step(history: History, last: dict[str, Any]) -> None:
    """What a gateway does with one entry more: copy, read, fold."""
    longer = history.copy()
    change = {**last["body"], "change": len(history.changes) + 1}
    longer.append({**last, "seq": history.size, "body": change})
    policy_of(longer, last["at"])


def _check_all(entries: list[dict[str, Any]]) -> None:
    """What `plimsoll verify` does: each entry judged with those before it."""
    history = History()
    for entry in entries:
        check_next(history, entry, entry["at"])
        history.append(entry)


def _pages(worlds: list[World]) -> list[float]:
    """Milliseconds for the limits page of each, once its policy is folded; they take turns."""
    clients = [create_app(each.settings, sessions=each.sessions).test_client() for each in worlds]
    times: list[list[float]] = [[] for _ in worlds]
    for _ in range(VIEWS):
        for client, took in zip(clients, times, strict=True):
            began = time.perf_counter()
            assert client.get("/limits").status_code == 200
            took.append(time.perf_counter() - began)
    return [round(statistics.median(took) * 1000, 2) for took in times]


def _cell() -> Cell:
    return Cell("build", "sonnet-5", "requests", Kind.BUCKET, 60)


def _best(act: Callable[[], object]) -> float:
    """Seconds of the quickest of a few rounds."""
    return min(_once(act) for _ in range(ROUNDS))


def _once(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _ratio(figures: list[dict[str, float]], name: str) -> float:
    return round(figures[-1][name] / figures[0][name], 2)


if __name__ == "__main__":
    main()
