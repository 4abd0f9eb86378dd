"""Usage as `plimsoll.testing.FakePortal` takes it: each batch once, as the real portal does."""

from collections import Counter
from typing import Any

import orjson

_OK, _CONFLICT, _UNPROCESSABLE = 200, 409, 422


class FakeIngest:
    """What gateways reported. `refuses` names keys whose rows are bad."""

    def __init__(self) -> None:
        # Batches that were counted, oldest first, and where their order stands.
        self.batches: list[dict[str, Any]] = []
        self.boot, self.seq = 0, 0
        self.refuses: set[str] = set()
        self._refused: dict[tuple[int, int], dict[str, Any]] = {}

    def take(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and answer for one batch (SYNC.md section 2, usage)."""
        batch = orjson.loads(body)
        boot, seq = batch["boot"], batch["seq"]
        if boot < self.boot:
            return _CONFLICT, {"boot": self.boot}
        last = self.seq if boot == self.boot else 0
        if seq > last + 1:
            return _CONFLICT, {"expect": last + 1}
        if seq <= last:
            refused = self._refused.get((boot, seq))
            return (_UNPROCESSABLE, refused) if refused else (_OK, {"seq": seq, "duplicate": True})
        self.boot, self.seq = boot, seq
        for number, (key, *_) in enumerate(batch["rows"]):
            if key in self.refuses:
                said = {"seq": seq, "row": number, "code": "key_unknown"}
                self._refused[boot, seq] = said
                return _UNPROCESSABLE, said
        self.batches.append(batch)
        return _OK, {"seq": seq}

    def total(self) -> Counter[str]:
        """The sum of everything counted; refusals by their name."""
        total: Counter[str] = Counter()
        for batch in self.batches:
            for _, _, counts, _ in batch["rows"]:
                plain = {name: count for name, count in counts.items() if name != "refused"}
                refused = counts.get("refused", {}).items()
                total.update(plain)
                total.update({f"refused {name}": count for name, count in refused})
        return total

    def counters(self) -> dict[tuple[str, str], dict[str, Any]]:
        """How each counter last stood, by owner and limit."""
        return {
            (owner, name): fields
            for batch in self.batches
            for owner, name, fields in batch["counters"]
        }
