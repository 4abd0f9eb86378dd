"""A key paused and resumed: in a transaction that is sealed for gateways, next to the same without the seal.

As the command does it, with its line in the journal; and as one bare row that is changed.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

from sqlalchemy.orm import Session

from bench.figures import keep
from bench.ingest import database
from bench.watchers import change
from bench.world import World, make
from portal.core import clock
from portal.core.db import transaction
from portal.keys.models import ApiKey

ROUNDS = 15
ACTS = 40


def main() -> None:
    keep("seal", {name: value for kind in ("sqlite", "postgresql") for name, value in _on(kind)})


def _on(kind: str) -> Iterator[tuple[str, object]]:
    with tempfile.TemporaryDirectory() as folder, database(kind) as url:
        world = make(Path(folder) / "world", threads=8, url=url)
        key, _ = world.issue(1)[0]
        for name, act, bare in (("command", change, _unsealed), ("one row", _sealed, _plain)):
            sealed, plain = _alternating(partial(act, world, key), partial(bare, world, key))
            yield f"{kind}: {name}, sealed", f"{sealed * 1000:.2f} ms"
            yield f"{kind}: {name}, without the seal", f"{plain * 1000:.2f} ms"
            yield f"{kind}: {name}, ratio", round(sealed / plain, 2)
        world.sessions.kw["bind"].dispose()


def _alternating(sealed: Callable[[], None], plain: Callable[[], None]) -> tuple[float, float]:
    """Seconds an act, each the median of rounds by turns, so that what else runs meets both."""
    times: dict[Callable[[], None], list[float]] = {sealed: [], plain: []}
    for act in times:
        act()
    for _ in range(ROUNDS):
        for act, taken in times.items():
            began = time.perf_counter()
            for _ in range(ACTS):
                act()
            taken.append((time.perf_counter() - began) / ACTS)
    return statistics.median(times[sealed]), statistics.median(times[plain])


def _unsealed(world: World, key: str) -> None:
    with mock.patch("portal.core.seal.seal", _flush):
        change(world, key)


def _flush(session: Session) -> None:
    session.flush()  # as the seal does before it reads
    session.info.pop("touched", None)


def _sealed(world: World, key: str) -> None:
    with world.sessions() as session, transaction(session):
        _change(session, key)


def _plain(world: World, key: str) -> None:
    # Nobody listens to a session of the library's own, and what is not sealed wakes nobody.
    with PlainSession(world) as session:
        session.connection(execution_options={"portal_write": True})
        _change(session, key)
        session.commit()


def _change(session: Session, key: str) -> None:
    row = session.get_one(ApiKey, key, with_for_update=True)
    row.paused_at = None if row.paused_at else clock.now()


class PlainSession(Session):
    def __init__(self, world: World) -> None:
        super().__init__(world.sessions.kw["bind"], expire_on_commit=False)


if __name__ == "__main__":
    main()
