"""What was counted, and where each request of it is now: exactly once somewhere (SYNC.md section 2)."""

from collections import Counter
from typing import Any

import orjson

from plimsoll.store import Store
from tests.model.portal import ModelPortal

Sums = Counter[tuple[str, str]]


class Books:
    """Requests by key, and refusals by key and code: saved by the gateway, and not yet."""

    def __init__(self, portal: ModelPortal) -> None:
        self._portal = portal
        self.saved: Sums = Counter()
        self.unsaved: Sums = Counter()
        self.synced: Sums | None = Counter()

    def count(self, key_id: str, what: str) -> None:
        self.unsaved[key_id, what] += 1

    def save(self) -> None:
        self.saved += self.unsaved
        self.unsaved = Counter()

    def sync(self) -> None:
        self.synced = self.saved.copy()

    def check(self, store: Store) -> None:
        """Usage exact: no saved request is missing, and none is there twice."""
        assert self.present(store) == self.saved

    def reopen(self, store: Store, *, was_saving: bool) -> None:
        """A killed gateway is back: it lost what was not saved; of what it was saving all, or nothing."""
        if was_saving and self.present(store) != self.saved:
            self.save()
        self.unsaved = Counter()
        self.check(store)

    def reopen_after_power_failure(self, store: Store) -> None:
        """It may also have lost what was saved since the last sync, and nothing that was before."""
        present = self.present(store)
        assert self.synced is None or self.synced <= present <= self.saved
        self.saved, self.unsaved = present, Counter()

    def settle(self, store: Store) -> None:
        """A backup was restored, or a disk lost: go on from what is left."""
        self.saved = self.present(store)
        # What was synced before may hold what the portal of now never heard of, and the reverse.
        self.synced = None

    def present(self, store: Store) -> Sums:
        """All that the portal has counted, and all that the gateway holds for it."""
        sums: Sums = Counter()
        counted = self._portal.usage.batches
        for batch in counted:
            _add(sums, batch)
        for (body,) in store._read.execute("SELECT body FROM batch").fetchall():
            batch = orjson.loads(body)
            # One whose answer was lost is there already.
            if batch not in counted:
                _add(sums, batch)
        rows = store._read.execute("SELECT key, requests, refused FROM usage").fetchall()
        for key, requests, refused in rows:
            _add_row(sums, key, requests=requests, refused=orjson.loads(refused or b"{}"))
        return sums


def unsent(store: Store) -> int:
    """What still waits to be sent."""
    count = "SELECT (SELECT count(*) FROM usage) + (SELECT count(*) FROM batch WHERE code IS NULL)"
    return int(store.ask(count)[0])


def _add(sums: Sums, batch: dict[str, Any]) -> None:
    for key, _, counts, _ in batch["rows"]:
        _add_row(sums, key, requests=counts.get("requests", 0), refused=counts.get("refused", {}))


def _add_row(sums: Sums, key: str, *, requests: int, refused: dict[str, int]) -> None:
    if requests:
        sums[key, "requests"] += requests
    for name, count in refused.items():
        sums[key, name] += count
