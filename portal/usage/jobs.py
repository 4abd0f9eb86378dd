"""Packing and dropping figures, looked at once a minute."""

from datetime import timedelta

from portal.core import clock
from portal.core.db import Sessions, transaction
from portal.core.jobs import Job
from portal.core.upserts import remove
from portal.usage import rollup
from portal.usage.models import RefusedBatch
from portal.usage.rollup import KEPT, LEVELS, Level

LOOK_SECONDS = 60


def jobs(sessions: Sessions) -> list[Job]:
    """The job of this slice; beside the others, since an hour of many organisations takes its time."""
    return [Job("usage", Keeper(sessions).run, is_slow=True)]


class Keeper:
    """Looks once a minute, whatever wakes it; what it packs it packs in short transactions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._looked_at: int | None = None

    def run(self) -> int:
        """Pack and drop all that is due; returns how many chunks that were."""
        now = clock.timestamp()
        if self._looked_at is not None and 0 <= now - self._looked_at < LOOK_SECONDS:
            return 0
        done = keep(self._sessions)
        self._looked_at = now
        return done


def keep(sessions: Sessions) -> int:
    """One pass over everything; returns how many chunks were packed or dropped."""
    return sum(_pack(sessions, level) for level in LEVELS) + _drop(sessions)


def _pack(sessions: Sessions, level: Level) -> int:
    now, done = clock.timestamp(), 0
    with sessions() as session:
        # A pass that finds nothing must not write, or it would wake the next.
        if not rollup.has_packable(session, level, now):
            return 0
        after = ()
        while True:
            with transaction(session):
                last = rollup.pack_chunk(session, level, now=now, after=after)
            if last is None:
                return done
            after, done = tuple(last), done + 1


def _drop(sessions: Sessions) -> int:
    now, done = clock.timestamp(), 0
    with sessions() as session:
        for model in KEPT:
            while old := rollup.find_old(session, model, now=now):
                with transaction(session):
                    remove(session, model, old)
                done += 1
        before = clock.now() - timedelta(seconds=rollup.HOURS_KEPT_SECONDS)
        while old := rollup.find_old_refusals(session, before=before):
            with transaction(session):
                remove(session, RefusedBatch, old)
            done += 1
    return done
