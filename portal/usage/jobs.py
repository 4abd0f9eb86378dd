"""Packing and dropping figures, looked at once a minute."""

from datetime import timedelta

from portal.core import clock
from portal.core.db import Sessions, transaction
from portal.core.jobs import Job, paced
from portal.core.upserts import remove
from portal.usage import rollup
from portal.usage.models import RefusedBatch
from portal.usage.rollup import KEPT, LEVELS, Level

# Each report of a gateway wakes the jobs.
LOOK_EVERY = timedelta(seconds=60)


def jobs(sessions: Sessions) -> list[Job]:
    """The job of this slice; beside the others, since an hour of many organisations takes its time."""
    return [Job("usage", paced(lambda: keep(sessions), every=LOOK_EVERY), is_slow=True)]


def keep(sessions: Sessions) -> int:
    """One pass over everything, in short transactions; returns how many chunks were packed or dropped."""
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
