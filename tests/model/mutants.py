"""The gateway without one of its defences: stream, snapshot, store, log."""

from typing import Any

import plimsoll.clock
import plimsoll.logbook
import plimsoll.reading
import plimsoll.replica
import plimsoll.snapshot
import plimsoll.spool
import plimsoll.sync
import plimsoll.tables
import plimsoll.usage
from plimsoll.logbook import Logbook
from plimsoll.replica import Replica
from plimsoll.snapshot import Snapshot
from plimsoll.store import Store
from plimsoll.sync import Follower
from plimsoll.tables import Head
from tests.model.seeded import (
    BROKEN_OFF,
    EPOCHS,
    LOG,
    OUTAGE,
    REPLAYS,
    STORE,
    STREAM,
    TOKEN,
    USAGE,
    Patch,
    first,
    for_ever,
    mutant,
    nothing,
)

# ---- the gateway: the stream ----


@mutant(STREAM)
def heartbeat_moves_the_cursor(patch: Patch) -> None:
    right = Follower._beat

    def beat(self: Follower, heartbeat: Any) -> None:
        head = self.replica.head
        if head is not None:
            self.replica.head = head._replace(revision=heartbeat.rev, digest=heartbeat.digest)
        right(self, heartbeat)

    patch.setattr(Follower, "_beat", beat)


@mutant(STREAM)
def heartbeat_ahead_of_us_is_ignored(patch: Patch) -> None:
    def beat(self: Follower, heartbeat: Any) -> None:
        self.replica.time.hear(heartbeat.now)
        self._report()

    patch.setattr(Follower, "_beat", beat)


@mutant(STREAM)
def silence_is_borne(patch: Patch) -> None:
    patch.setattr(plimsoll.sync, "SILENT_HEARTBEATS", 1e6)


@mutant(STREAM)
def digest_is_not_compared_at_a_commit(patch: Patch) -> None:
    def added_up(head: Any, latest: Any, olds: Any, *, epoch: str, commit: Any) -> Head:
        return Head(epoch, commit.rev, commit.records, commit.digest)

    patch.setattr(plimsoll.replica, "_added_up", added_up)


@mutant(REPLAYS)
def an_older_batch_is_taken(patch: Patch) -> None:
    right = plimsoll.replica._latest

    def latest(puts: Any, commit: Any, head: Any) -> Any:
        return right(puts, commit, head._replace(revision=min(head.revision, commit.rev)))

    patch.setattr(plimsoll.replica, "_latest", latest)


@mutant(OUTAGE)
def revocations_of_a_bad_batch_are_dropped(patch: Patch) -> None:
    patch.setattr(Replica, "revoke_at_once", nothing)


@mutant(BROKEN_OFF)
def a_refused_cursor_clears_the_state(patch: Patch) -> None:
    right = Follower._load_snapshot

    def load(self: Follower) -> None:
        if self._wants_snapshot:
            self.replica.head = None
            self.replica.store.transaction()
        right(self)

    patch.setattr(Follower, "_load_snapshot", load)


@mutant(TOKEN)
def a_refused_token_ends_the_following(patch: Patch) -> None:
    patch.setattr(Follower, "_refused", for_ever)


# ---- the gateway: snapshots ----


@mutant(EPOCHS)
def snapshot_is_an_upsert(patch: Patch) -> None:
    kept = "INSERT OR IGNORE INTO record SELECT * FROM old.record WHERE kind <> 'checkpoint';"
    carried = plimsoll.snapshot._CARRIED + kept
    carried += "INSERT INTO block SELECT number + 1000, lines FROM old.block;"
    carried += "INSERT INTO place SELECT secret, block + 1000 FROM old.place;"
    patch.setattr(plimsoll.snapshot, "_CARRIED", carried)


@mutant(BROKEN_OFF)
def snapshot_is_not_added_up(patch: Patch) -> None:
    def verify(self: Snapshot) -> Head:
        commit = self.commit
        assert commit is not None
        return Head(self.epoch, commit.rev, commit.records, commit.digest)

    patch.setattr(Snapshot, "verify", verify)


@mutant(EPOCHS)
def revocations_are_forgotten_at_a_new_epoch(patch: Patch) -> None:
    _carry_without(patch, "revoked")


@mutant(EPOCHS)
def the_log_is_forgotten_at_a_new_epoch(patch: Patch) -> None:
    _carry_without(patch, "old.log")


@mutant(USAGE)
def waiting_usage_is_forgotten_at_a_new_epoch(patch: Patch) -> None:
    _carry_without(patch, "old.usage")


@mutant(USAGE)
def a_batch_on_its_way_is_forgotten_at_a_new_epoch(patch: Patch) -> None:
    _carry_without(patch, "old.batch")


def _carry_without(patch: Patch, word: str) -> None:
    lines = plimsoll.snapshot._CARRIED.splitlines(keepends=True)
    patch.setattr(
        plimsoll.snapshot, "_CARRIED", "".join(line for line in lines if word not in line)
    )


# ---- the gateway: the store ----


@mutant(STORE)
def cursor_is_written_before_the_records(patch: Patch) -> None:
    right = Store.apply

    def apply(self: Store, rows: Any, head: Head, **more: Any) -> None:
        with self.transaction() as connection:
            plimsoll.tables.write_head(connection, head)
        right(self, rows, head, **more)

    patch.setattr(Store, "apply", apply)


@mutant(STORE)
def records_are_written_before_the_cursor(patch: Patch) -> None:
    right = Store.apply

    def apply(self: Store, rows: Any, head: Head, **more: Any) -> None:
        rows = list(rows)
        if self.head is not None:
            right(self, rows, self.head, log=None, revoked=(), at=more["at"])
        right(self, rows, head, **more)

    patch.setattr(Store, "apply", apply)


@mutant(STREAM)
def what_a_commit_changed_stays_in_memory_as_it_was(patch: Patch) -> None:
    patch.setattr(Replica, "_forget", nothing)


@mutant(STREAM)
def an_unreadable_key_is_as_before(patch: Patch) -> None:
    right = plimsoll.replica._key_of
    good: dict[str, Any] = {}

    def key_of(row: Any, *, seen_revoked: bool) -> Any:
        key = right(row, seen_revoked=seen_revoked)
        if key.record is not None:
            good[row.id] = key
        return good.get(row.id, key)

    patch.setattr(plimsoll.replica, "_key_of", key_of)


@mutant(STREAM)
def an_unreadable_organisation_is_none(patch: Patch) -> None:
    patch.setattr(plimsoll.reading, "_unreadable", first)


# ---- the gateway: the log ----


@mutant(LOG)
def a_forked_log_is_accepted(patch: Patch) -> None:
    def examine(self: Logbook, leaf_at: Any, text: str) -> Any:
        self._leaves, self._tree = [], plimsoll.logbook.Tree()
        self.standing = plimsoll.logbook._restored([], 0)
        return right(self, leaf_at, text)

    right = Logbook.examine
    patch.setattr(Logbook, "examine", examine)


@mutant(LOG)
def a_checkpoint_that_went_back_is_followed(patch: Patch) -> None:
    def compare(self: Logbook, size: int, root: bytes) -> None:
        self._leaves = self._leaves[:size]
        self._tree = plimsoll.logbook.Tree()
        for leaf in self._leaves:
            self._tree.append(leaf)
        self.standing = plimsoll.logbook._restored(self._leaves, size)

    patch.setattr(Logbook, "_compare", compare)


@mutant(LOG)
def the_signature_is_not_checked(patch: Patch) -> None:
    def verified(text: str, origin: str, public_key: bytes) -> tuple[int, Any]:
        return int(text.split("\n")[1]), _Equal()

    patch.setattr(plimsoll.logbook, "_verified", verified)


class _Equal:
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]
