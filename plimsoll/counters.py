"""Local counters: exact for one process, saved to the store each second and at the end.

A counter belongs to an organisation (or, for a cap, to a key's lineage) and a limit's model,
metric, kind and period, neither to the key nor to the tier (LIMITS.md section 1). It is read
from the store when it is first needed and lives as long as somebody holds it or it is unsaved.
"""

import threading
import weakref

from plimsoll.clock import SteadyTime
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.windows import EMPTY, State
from plimsoll.store import Store


class Counter:
    """The state of one limit for one organisation. Changed only under the enforcer's lock."""

    __slots__ = ("__weakref__", "is_kept", "name", "state")

    def __init__(self, name: str, state: State, *, is_kept: bool) -> None:
        self.name = name
        self.state = state
        # Requests in flight end with the process; what counts them is not saved.
        self.is_kept = is_kept


class LocalCounters:
    """All counters of this process, over one store."""

    def __init__(self, store: Store, steady: SteadyTime) -> None:
        """Nothing is read yet."""
        self._store = store
        self._steady = steady
        self._lock = threading.Lock()
        self._counters: weakref.WeakValueDictionary[str, Counter] = weakref.WeakValueDictionary()
        # Strong references until saved, so that nothing unsaved can be forgotten.
        self.dirty: set[Counter] = set()

    def get(self, owner: str, cell: Cell) -> Counter:
        """The counter of an organisation's or a lineage's limit."""
        name = f"{owner}:{cell.model}:{cell.metric}:{cell.kind}:{cell.period}"
        with self._lock:
            counter = self._counters.get(name)
            if counter is None:
                used, mark = self._store.counter(name) or EMPTY
                # A clock that was set back since it was saved must not stop a bucket's refill.
                if cell.kind is Kind.BUCKET:
                    mark = min(mark, int(self._steady.now() * 1000))
                kept = cell.kind is not Kind.CONCURRENCY
                counter = self._counters[name] = Counter(name, (used, mark), is_kept=kept)
            return counter

    def save(self, lock: threading.Lock, **meta: int) -> None:
        """Write what changed since the last call; `lock` is what guards the states.

        `meta` are small facts to keep beside them.
        """
        with lock:
            changed, self.dirty = self.dirty, set()
            rows = [(each.name, *each.state) for each in changed if each.is_kept]
        known = self._store.meta
        if not rows and all(known.get(name) == value for name, value in meta.items()):
            return
        try:
            self._store.save(rows, **meta)
        except BaseException:
            with lock:
                self.dirty |= changed
            raise
