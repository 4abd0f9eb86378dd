"""Looks for what is wrong, and notes which jobs fail."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from portal.core.db import Sessions, transaction
from portal.core.jobs import Job, paced
from portal.operations import commands

LOOK_AFTER = timedelta(seconds=5)
NOTE_AFTER = timedelta(seconds=30)


def jobs(sessions: Sessions, *, url: str) -> list[Job]:
    """The job that opens and closes alerts; `url` is the portal's, for links."""
    # Noted like the others: /metrics tells of it while it fails, and staff hear once it works again.
    return [noted(Job("alerts", lookout(sessions, url=url)), sessions)]


def lookout(sessions: Sessions, *, url: str) -> Callable[[], int]:
    """Looks every few seconds, and notes less often that it did."""

    def note() -> int:
        # Nobody waits for this one: it must not wake the jobs, which would look again.
        with sessions() as session, transaction(session, wakes=False):
            commands.note_look(session)
        return 1

    note_now_and_then = paced(note, every=NOTE_AFTER)

    def run() -> int:
        done = look(sessions, url=url)
        # After the look: one that raises is none, and who only ever raises counts as not looking.
        note_now_and_then()
        return done

    return paced(run, every=LOOK_AFTER)


def look(sessions: Sessions, *, url: str) -> int:
    """One look; writes only where something has changed. Returns how many alerts opened or closed."""
    with sessions() as session:
        if not commands.is_news(session):
            return 0
        with transaction(session):
            return commands.settle(session, url=url)


def noted(job: Job, sessions: Sessions) -> Job:
    """The same job, of which failures are kept for the staff."""
    return replace(job, run=_Noted(job.name, job.run, sessions).run)


class _Noted:
    def __init__(self, name: str, run: Callable[[], int], sessions: Sessions) -> None:
        self._name = name
        self._run = run
        self._sessions = sessions
        # A row may be left from before this process began.
        self._may_be_noted = True

    def run(self) -> int:
        try:
            done = self._run()
        except Exception as error:
            self._may_be_noted = True
            with self._sessions() as session, transaction(session, wakes=False):
                # The kind alone: a message may quote what was being written.
                text = f"It raised {type(error).__name__}."
                commands.note_failure(session, self._name, text=text)
            raise
        if self._may_be_noted:
            self._forget()
        return done

    def _forget(self) -> None:
        with self._sessions() as session:
            # Looked at without a transaction: a pass that finds nothing must not write.
            if commands.is_noted(session, self._name):
                with transaction(session):
                    commands.note_success(session, self._name)
        self._may_be_noted = False
