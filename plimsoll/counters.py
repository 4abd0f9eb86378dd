"""Local counters: exact for one process, saved to the store each second and at the end.

A counter belongs to an organisation (or, for a cap, to a key's lineage) and a limit's model,
metric, kind and period, neither to the key nor to the tier (LIMITS.md section 1). It is read
from the store when it is first needed and lives as long as somebody holds it or it is unsaved.
"""

import threading
import weakref
from sqlite3 import Connection
from typing import TYPE_CHECKING

from plimsoll import spool
from plimsoll.clock import SteadyTime
from plimsoll.contract.limits import Cell, Kind, Limit
from plimsoll.contract.windows import EMPTY, State, gauge_of
from plimsoll.spool import Metered
from plimsoll.store import Store
from plimsoll.usage import Tally

if TYPE_CHECKING:
    from plimsoll.plans import PlannedLimit

# After a counter's name: where it stood before we counted alone, until that is told.
_BEFORE = ":before"
_TOLD: State = (-1, 0)


class Counter:
    """The state of one limit for one organisation. Changed only under the ledger's lock.

    Where gateways count together, `state` follows the shared counter, on our clock; `seen` is the
    shared one as last seen, on its server's clock. `before` is what `state` was when we began to
    count alone: the difference has to be told. Requests in flight are our own in `state`, all in
    `seen`. `limit` is what was planned for it last: requests that were admitted under another quota
    are settled by this one.
    """

    __slots__ = (
        *("__weakref__", "before", "gauge", "is_kept", "is_untold_kept", "limit"),
        *("name", "owner", "seen", "seen_us", "state"),
    )

    def __init__(self, owner: str, name: str, state: State, *, limit: Limit, is_kept: bool) -> None:
        self.owner = owner
        self.name = name
        self.state = state
        self.seen: State | None = None
        self.seen_us = 0
        self.before: State | None = None
        # Requests in flight end with the process; what counts them is not saved.
        self.is_kept = is_kept
        # The store has a `before` of it.
        self.is_untold_kept = False
        self.stand_under(limit)

    def stand_under(self, limit: Limit) -> None:
        """Go on under these values, whatever they were."""
        self.limit, self.gauge = limit, gauge_of(limit)


class LocalCounters:
    """All counters of this process, over one store."""

    def __init__(self, store: Store, steady: SteadyTime) -> None:
        """Nothing is read yet."""
        self._store = store
        self._steady = steady
        self._lock = threading.Lock()
        self._counters: weakref.WeakValueDictionary[str, Counter] = weakref.WeakValueDictionary()
        # Strong references until saved, so that nothing unsaved can be forgotten; with each the
        # limit that it last stood under.
        self.dirty: dict[Counter, PlannedLimit] = {}
        self.tally = Tally()

    def get(self, owner: str, limit: Limit) -> Counter:
        """The counter of an organisation's or a lineage's limit, which it stands under from now on."""
        cell = limit.cell
        name = f"{owner}:{cell.model}:{cell.metric}:{cell.kind}:{cell.period}"
        with self._lock:
            counter = self._counters.get(name)
            if counter is None:
                state = self._saved(name, cell) or EMPTY
                kept = cell.kind is not Kind.CONCURRENCY
                counter = Counter(owner, name, state, limit=limit, is_kept=kept)
                before = self._saved(name + _BEFORE, cell) or _TOLD
                if before != _TOLD:
                    counter.before, counter.is_untold_kept = before, True
                self._counters[name] = counter
            elif counter.limit != limit:
                counter.stand_under(limit)
            return counter

    def _saved(self, name: str, cell: Cell) -> State | None:
        found = self._store.counter(name)
        if found is None or cell.kind is not Kind.BUCKET:
            return found
        # A clock that was set back since it was saved must not stop a bucket's refill.
        return found[0], min(found[1], int(self._steady.now() * 1000))

    def known(self, name: str) -> Counter | None:
        """A counter that somebody holds, or that is unsaved."""
        with self._lock:
            return self._counters.get(name)

    def save(self, lock: threading.Lock, times: tuple[int, int], **meta: int) -> None:
        """Write what changed since the last call, and what was counted; `lock` guards both.

        `times` are Unix milliseconds by the portal's clock and by the steady one; `meta` are small
        facts to keep beside them.
        """
        with lock:
            changed, self.dirty = self.dirty, {}
            states = [each.state for each in changed]
            untold = {
                each: _before(planned, times)
                for each, planned in changed.items()
                if each.before is not None or each.is_untold_kept
            }
            shown = [each.state if each.is_kept else each.seen or each.state for each in changed]
            counted = self.tally.take()
        known = self._store.meta
        if not (changed or counted) and all(known.get(name) == meta[name] for name in meta):
            return
        rows = [
            (each.name, *state) for each, state in zip(changed, states, strict=True) if each.is_kept
        ]
        rows += [(each.name + _BEFORE, *state) for each, state in untold.items()]
        metered = [
            _metered(planned, state, times)
            for planned, state in zip(changed.values(), shown, strict=True)
        ]

        def also(connection: Connection) -> None:
            spool.add(connection, counted)
            spool.add_metered(connection, metered)

        try:
            self._store.save(rows, also=also, **meta)
        except BaseException:
            with lock:
                self.dirty = {**changed, **self.dirty}
                self.tally.give_back(counted)
            raise
        for counter, state in untold.items():
            counter.is_untold_kept = state != _TOLD


def _before(planned: "PlannedLimit", times: tuple[int, int]) -> State:
    """What is kept of where a counter stood before we counted alone."""
    before = planned.counter.before
    if before is None:
        return _TOLD
    # As of now: what is old is not kept over a start.
    return planned.gauge.charge(before, 0, times[planned.is_bucket])


def _metered(planned: "PlannedLimit", state: State, times: tuple[int, int]) -> Metered:
    """How a counter stands, as the portal is told (EXACT.md 28): whole seconds by its own clock.

    A cap's counter belongs to the key's lineage, all others to the organisation.
    """
    at = times[planned.is_bucket]
    fields: dict[str, int | None] = {
        "used": planned.gauge.used(state, at),
        "quota": planned.gauge.quota,
        # The next whole second, as where it will be free: of an earlier one it would seem emptier than it is.
        "at": -(-times[0] // 1000),
    }
    if planned.gauge.kind is not Kind.CONCURRENCY:
        free_at = planned.gauge.free_at_ms(state, at)
        name = "full_at" if planned.is_bucket else "resets_at"
        fields[name] = None if free_at is None else -((at - times[0] - free_at) // 1000)
    return Metered(planned.counter.owner.rpartition(":")[2], planned.name, fields)
