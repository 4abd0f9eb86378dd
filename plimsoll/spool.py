"""What waits to be reported, in the store: rows that still grow, and batches whose bytes are fixed.

Rows are added in the transaction that saves the counters, so a kill loses of both the same last
second. Rows that wait are merged per key, model and minute; when one is sent it becomes part of a
batch, frozen to bytes and synced to disk first, of which one at a time is on its way. Too many rows
(a portal away for days) are merged to hours, then to days and months, oldest first: sums stay exact for ever.
"""

from collections.abc import Iterable, Mapping
from sqlite3 import Connection
from typing import Any, NamedTuple, TypeAlias

import orjson

from plimsoll.store import Store

# So few that the portal takes them in one short transaction: on SQLite a revocation waits for its end.
BATCH_ROWS_MAX = 500
BATCH_BYTES_MAX = 400_000
# About 100 MB. Above it old rows lose their minute, never their counts.
WAITING_ROWS_MAX = 500_000
PARKED_MAX = 100

_COARSER_SECONDS = (3600, 86_400, 30 * 86_400)
_CHUNK = 20_000

# Minute (Unix seconds of its start), key, model ("" without one).
Place: TypeAlias = tuple[int, str, str]


class Counts:
    """What one key took of one model in one minute, net of settlement."""

    __slots__ = ("input_tokens", "output_tokens", "refused", "requests")

    def __init__(self, requests: int = 0, input_tokens: int = 0, output_tokens: int = 0) -> None:
        self.requests = requests
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        # By name of the limit, else by code of the refusal; made when first needed.
        self.refused: dict[str, int] | None = None

    def refuse(self, name: str, count: int = 1) -> None:
        """Count refusals under a name."""
        refused = self.refused
        if refused is None:
            refused = self.refused = {}
        refused[name] = refused.get(name, 0) + count

    def add(self, other: "Counts") -> None:
        """Add another minute's, or second's, to this one."""
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        for name, count in (other.refused or {}).items():
            self.refuse(name, count)

    def to_wire(self) -> dict[str, Any]:
        """As in a row; what is absent is 0 (EXACT.md 27)."""
        fields = {
            "requests": self.requests,
            "refused": self.refused,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }
        return {name: value for name, value in fields.items() if value}


class Metered(NamedTuple):
    """A counter to report: whose it is, the limit's name, and how it stands (EXACT.md 28)."""

    owner: str
    name: str
    fields: Mapping[str, int | None]


class Batch(NamedTuple):
    """A frozen batch: its place in the order of batches, and the bytes to send."""

    boot: int
    seq: int
    body: bytes


def add(connection: Connection, rows: Mapping[Place, Counts]) -> None:
    """Add counts to what waits, inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET"
        " requests = requests + excluded.requests,"
        " input_tokens = input_tokens + excluded.input_tokens,"
        " output_tokens = output_tokens + excluded.output_tokens",
        (
            (*place, counts.requests, counts.input_tokens, counts.output_tokens)
            for place, counts in rows.items()
        ),
    )
    for place, counts in rows.items():
        if counts.refused:
            _add_refused(connection, place, counts.refused)


def _add_refused(connection: Connection, place: Place, refused: Mapping[str, int]) -> None:
    where = "WHERE minute = ? AND key = ? AND model = ?"
    (known,) = connection.execute(f"SELECT refused FROM usage {where}", place).fetchone()  # noqa: S608 - constants
    merged = Counts()
    for part in (orjson.loads(known or b"{}"), refused):
        for name, count in part.items():
            merged.refuse(name, count)
    text = orjson.dumps(merged.refused)
    connection.execute(f"UPDATE usage SET refused = ? {where}", (text, *place))  # noqa: S608 - constants


def add_metered(connection: Connection, counters: Iterable[Metered]) -> None:
    """Note how counters stand; of each only the newest waits, in the place that it had."""
    # Queued anew at each change, those behind a full batch would never have their turn.
    connection.executemany(
        "INSERT INTO metered VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET fields = excluded.fields",
        ((each.owner, each.name, orjson.dumps(each.fields)) for each in counters),
    )


class Spool:
    """The waiting rows and frozen batches of an open store. One thread sends from it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # The place of the batch that is known to be on disk.
        self._synced: tuple[int, int] | None = None

    @property
    def waiting(self) -> int:
        """How many rows wait, those of the batch on its way not counted."""
        return int(self._store.ask("SELECT count(*) FROM usage")[0])

    @property
    def left(self) -> int:
        """How many rows and counters the portal has not taken yet: only at 0 does it know all.

        Those of the batch on its way are among them, whose answer may never come.
        """
        # At once: between two questions rows would be in neither place, or in both.
        rows, body = self._store.ask(
            "SELECT (SELECT count(*) FROM usage) + (SELECT count(*) FROM metered),"
            " (SELECT body FROM batch WHERE code IS NULL ORDER BY boot, seq LIMIT 1)"
        )
        frozen = {} if body is None else orjson.loads(body)
        return int(rows) + len(frozen.get("rows", ())) + len(frozen.get("counters", ()))

    @property
    def parked(self) -> int:
        """How many batches the portal refused and we keep for whoever looks into it."""
        return int(self._store.ask("SELECT count(*) FROM batch WHERE code IS NOT NULL")[0])

    def next(self, now: int) -> Batch | None:
        """The batch to send, on disk: the one on its way, else a new one; None when nothing waits.

        `now` is the portal's time: no row is of a later minute, whatever our own clock said
        before the portal was first heard.
        """
        found = self._store.ask(
            "SELECT boot, seq, body FROM batch WHERE code IS NULL ORDER BY boot, seq LIMIT 1"
        )
        batch = Batch(*found) if found is not None else self._freeze(now) if self.left else None
        if batch is not None and self._synced != batch[:2]:
            # Else its place could be given to other bytes, once the power failed.
            self._store.sync()
            self._synced = batch[:2]
        return batch

    def done(self, batch: Batch) -> None:
        """The portal has it."""
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM batch WHERE boot = ? AND seq = ?", batch[:2])

    def park(self, batch: Batch, code: str) -> None:
        """The portal will never take it: keep it aside, the newest hundred."""
        with self._store.transaction() as connection:
            place = batch[:2]
            connection.execute(
                "UPDATE batch SET code = ? WHERE boot = ? AND seq = ?", (code, *place)
            )
            connection.execute(
                "DELETE FROM batch WHERE code IS NOT NULL AND (boot, seq) NOT IN (SELECT boot, seq"
                " FROM batch WHERE code IS NOT NULL ORDER BY boot DESC, seq DESC LIMIT ?)",
                (PARKED_MAX,),
            )

    def renumber(self, batch: Batch, *, boot: int, seq: int) -> None:
        """Give a batch the place that the portal expects: it has not counted it."""
        body = orjson.dumps({**orjson.loads(batch.body), "boot": boot, "seq": seq})
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM batch WHERE boot = ? AND seq = ?", batch[:2])
            _take_place(connection, Batch(boot, seq, body))
        self._store.take_boot(boot)

    def bound(self) -> None:
        """Merge the oldest rows until no more wait than may."""
        for seconds in _COARSER_SECONDS:
            if not self._coarsen(seconds):
                return

    # ---- inside ----

    def _freeze(self, now: int) -> Batch:
        with self._store.transaction() as connection:
            rows, last = _oldest(connection, now)
            counters = connection.execute(
                "SELECT owner, name, fields FROM metered ORDER BY rowid LIMIT ?", (BATCH_ROWS_MAX,)
            ).fetchall()
            boot, seq = self._store.boot, _last_seq(connection, self._store.boot) + 1
            body = orjson.dumps(
                {
                    "boot": boot,
                    "seq": seq,
                    "from": min((row[-1] for row in rows), default=now),
                    "to": now,
                    "rows": rows,
                    "counters": [
                        [owner, name, orjson.loads(each)] for owner, name, each in counters
                    ],
                }
            )
            if last is not None:
                connection.execute(
                    "DELETE FROM usage WHERE (minute, key, model) <= (?, ?, ?)", last
                )
            named = [each[:2] for each in counters]
            connection.executemany("DELETE FROM metered WHERE owner = ? AND name = ?", named)
            batch = Batch(boot, seq, body)
            _take_place(connection, batch)
        return batch

    def _coarsen(self, seconds: int) -> bool:
        """Merge rows to spans of so many seconds, oldest first; answers whether too many are left."""
        after: Place = (-1, "", "")
        while self.waiting > WAITING_ROWS_MAX:
            with self._store.transaction() as connection:
                found = connection.execute(
                    "SELECT * FROM usage WHERE (minute, key, model) > (?, ?, ?)"
                    " ORDER BY minute, key, model LIMIT ?",
                    (*after, _CHUNK),
                ).fetchall()
                if not found:
                    return True
                merged: dict[Place, Counts] = {}
                for row in found:
                    minute, key, model = row[:3]
                    place = (minute - minute % seconds, key, model)
                    merged.setdefault(place, Counts()).add(_counts(row))
                after = found[-1][:3]
                connection.executemany(
                    "DELETE FROM usage WHERE minute = ? AND key = ? AND model = ?",
                    [row[:3] for row in found],
                )
                add(connection, merged)
        return False


def _oldest(connection: Connection, now: int) -> tuple[list[list[Any]], Place | None]:
    """The oldest rows that fit into one batch, as they are sent, and the place of the last."""
    rows: list[list[Any]] = []
    last, size = None, 0
    found = connection.execute(
        "SELECT * FROM usage ORDER BY minute, key, model LIMIT ?", (BATCH_ROWS_MAX,)
    )
    for row in found.fetchall():
        minute, key, model = last = row[:3]
        rows.append([key, model or None, _counts(row).to_wire(), min(minute, now - now % 60)])
        size += 200 + 4 * len(model) + len(row[6] or b"")
        if size > BATCH_BYTES_MAX:
            break
    return rows, last


def _counts(row: tuple[Any, ...]) -> Counts:
    counts = Counts(*row[3:6])
    counts.refused = orjson.loads(row[6]) if row[6] else None
    return counts


def _last_seq(connection: Connection, boot: int) -> int:
    found = connection.execute("SELECT value FROM meta WHERE name = 'usage_place'").fetchone()
    if found is None:
        return 0
    known_boot, seq = orjson.loads(found[0])
    return int(seq) if known_boot == boot else 0


def _take_place(connection: Connection, batch: Batch) -> None:
    boot, seq, _ = batch
    # A parked batch may have it, where a restored portal counts again from an earlier one.
    connection.execute(
        "UPDATE batch SET seq = (SELECT min(seq, 0) - 1 FROM batch WHERE boot = ?1 ORDER BY seq LIMIT 1)"
        " WHERE boot = ?1 AND seq = ?2 AND code IS NOT NULL",
        (boot, seq),
    )
    connection.execute("INSERT INTO batch VALUES (?, ?, ?, NULL)", batch)
    place = orjson.dumps([boot, seq]).decode()
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('usage_place', ?)", (place,))
