"""The gateway and its portal without one of their defences: time, usage, and what the portal seals."""

from collections.abc import Mapping
from typing import Any

import orjson

import plimsoll.clock
import plimsoll.logbook
import plimsoll.reading
import plimsoll.replica
import plimsoll.snapshot
import plimsoll.spool
import plimsoll.sync
import plimsoll.tables
import plimsoll.usage
from plimsoll.clock import PortalTime
from plimsoll.contract.records import Cursor
from plimsoll.spool import Spool
from plimsoll.testing_usage import FakeIngest
from plimsoll.usage import Sender
from tests.model.gateway import ModelStore
from tests.model.portal import ModelPortal, Writer
from tests.model.seeded import EPOCHS, POWER, TIME, USAGE, WRITERS, Patch, mutant, nothing

# ---- the gateway: time and usage ----


@mutant(TIME)
def time_is_our_own(patch: Patch) -> None:
    patch.setattr(PortalTime, "hear", nothing)


@mutant(TIME)
def time_never_goes_back(patch: Patch) -> None:
    patch.setattr(plimsoll.clock, "_TOLERANCE_SECONDS", float("inf"))


@mutant(USAGE)
def a_batch_is_let_go_before_it_is_answered(patch: Patch) -> None:
    right = Sender.send_once

    def send_once(self: Sender) -> float:
        batch = self.spool.next(int(self._replica.time.now()))
        if batch is not None:
            self.spool.done(batch)
            self._portal.usage(batch.body)
        return right(self)

    patch.setattr(Sender, "send_once", send_once)


@mutant(POWER)
def a_batch_is_frozen_without_a_sync(patch: Patch) -> None:
    patch.setattr(ModelStore, "sync", nothing)


@mutant(USAGE)
def a_batch_is_made_anew_for_each_try(patch: Patch) -> None:
    right = Spool.next

    def again(self: Spool, now: int) -> Any:
        batch = right(self, now)
        if batch is None:
            return None
        with self._store.transaction() as connection:
            place = plimsoll.spool._last_seq(connection, self._store.boot) + 1
        body = orjson.dumps({**orjson.loads(batch.body), "seq": place, "boot": self._store.boot})
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('usage_place', ?)",
                (orjson.dumps([self._store.boot, place]).decode(),),
            )
        return batch._replace(body=body)

    patch.setattr(Spool, "next", again)


@mutant(USAGE)
def a_refused_batch_is_thrown_away(patch: Patch) -> None:
    patch.setattr(Spool, "park", _done)


@mutant(USAGE)
def another_count_of_batches_is_not_followed(patch: Patch) -> None:
    patch.setattr(Spool, "renumber", nothing)


@mutant(USAGE)
def counts_are_saved_apart_from_what_they_came_from(patch: Patch) -> None:
    from plimsoll.usage import Tally

    patch.setattr(Tally, "take", lambda self: dict(self._rows))


# ---- the portal ----


@mutant(EPOCHS)
def nobody_minds_another_history(patch: Patch) -> None:
    """Either defence alone is enough: the portal compares digests, the gateway asks for a snapshot."""

    def knows(self: ModelPortal, cursor: Cursor) -> bool:
        return cursor.epoch == self.epoch and cursor.revision <= self.revision

    patch.setattr(ModelPortal, "knows_cursor", knows)
    patch.setattr(plimsoll.sync, "MISMATCHES_MAX", 10**9)


@mutant(WRITERS)
def portal_numbers_when_a_change_begins(patch: Patch) -> None:
    """A sequence as revision: who began first has the lower number, and may commit last.

    What a cursor then passes over is mended by a snapshot, if that is switched off too, by nothing.
    """

    def commit(self: Writer) -> None:
        portal = self.portal
        before = dict(portal._records)
        right(self)
        name = ("key", self.key.id)
        if portal._records.get(name) != before.get(name):
            portal._records[name] = (self.began_at[0] + 1, portal._records[name][1])

    right = Writer.commit
    patch.setattr(Writer, "commit", commit)
    patch.setattr(plimsoll.sync, "MISMATCHES_MAX", 10**9)


@mutant(WRITERS)
def portal_adds_to_the_digest_it_saw_when_it_began(patch: Patch) -> None:
    """Two writers, no lock: the second overwrites the first one's sum."""

    def commit(self: Writer) -> None:
        self.portal.digest = self.began_at[1]
        right(self)

    right = Writer.commit
    patch.setattr(Writer, "commit", commit)


@mutant(WRITERS)
def portal_sends_a_revision_it_has_not_sealed(patch: Patch) -> None:
    """Head and records read in two transactions: the delta holds less than its commit says."""
    right = ModelPortal.delta

    def delta(self: ModelPortal, since: int) -> list[bytes]:
        lines = right(self, since)
        return lines[1:] if since and len(lines) > 2 else lines

    patch.setattr(ModelPortal, "delta", delta)
    # That too is mended by a snapshot.
    patch.setattr(plimsoll.sync, "MISMATCHES_MAX", 10**9)


@mutant(WRITERS)
def portal_forgets_revoked_keys_within_an_epoch(patch: Patch) -> None:
    """A lost delete: the delta has nothing of the key, and the digest is as if it had never been."""

    def set_key(self: ModelPortal, key: Any, state: str) -> None:
        right(self, key, state)
        if state == "revoked" and self.state_of(key) == "revoked":
            self.forget("key", key.id)
            self.note()

    right = ModelPortal.set_key
    patch.setattr(ModelPortal, "set_key", set_key)


@mutant(USAGE)
def portal_counts_a_batch_again(patch: Patch) -> None:
    def take(self: FakeIngest, body: bytes) -> tuple[int, Mapping[str, Any]]:
        status, said = right(self, body)
        if said.get("duplicate"):
            self.batches.append(orjson.loads(body))
        return status, said

    right = FakeIngest.take
    patch.setattr(FakeIngest, "take", take)


@mutant(USAGE)
def portal_counts_before_it_knows_the_place(patch: Patch) -> None:
    def take(self: FakeIngest, body: bytes) -> tuple[int, Mapping[str, Any]]:
        status, said = right(self, body)
        if "expect" in said:
            self.batches.append(orjson.loads(body))
        return status, said

    right = FakeIngest.take
    patch.setattr(FakeIngest, "take", take)


def _done(spool: Spool, batch: Any, *_: Any) -> None:
    spool.done(batch)
