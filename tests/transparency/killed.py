"""Acts in a process of its own and is killed at a chosen step: `killed.py DATABASE_URL DATA ACT STEP`."""

import os
import signal
import sys
from pathlib import Path

from portal.changelog.commands import publish_catalog
from portal.config import Settings
from portal.core import clock, db, seal
from portal.core.actor import CLI
from portal.sync.commands import rebuild
from portal.transparency import commands, mending, signer, statefile
from tests.support.clocks import ManualClock
from tests.support.worlds import SAMPLE, opened, register_records


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(function):
    def wrapped(*values, **more):
        function(*values, **more)
        die()

    return wrapped


# What is replaced by what, at each step that an act can be killed at.
STEPS = {
    "before the entry": lambda: setattr(commands, "append_entry", die),
    "before the seal": lambda: setattr(seal, "seal", die),
    "before the signature": lambda: setattr(signer.checkpoint, "sign", die),
    "after the signature": lambda: setattr(signer, "store", after(signer.store)),
    "before the commit": lambda: setattr(db.PortalSession, "commit", die),
    "after the commit": lambda: setattr(db.PortalSession, "commit", after(db.PortalSession.commit)),
    "before the file": lambda: setattr(statefile, "write", die),
    "before the file's new name": lambda: setattr(Path, "replace", die),
    "after the file": lambda: setattr(statefile, "write", after(statefile.write)),
    "before the entries": lambda: setattr(mending, "_delete_from", die),
    "before the new epoch": lambda: setattr(mending, "record", die),
    "after the new epoch": lambda: None,
}


def main(url: str, data: str, act: str, step: str) -> None:
    settings = Settings(database_url=url, data=Path(data), secret_key="for tests")
    register_records()
    STEPS[step]()
    renew = after(rebuild) if step == "after the new epoch" else rebuild
    with opened(settings) as sessions, clock.running(ManualClock()):
        match act:
            case "append":
                append(sessions, settings)
            case "sign":
                signer.sign_new(sessions, settings)
            case "recover" | "discard":
                getattr(mending, act)(
                    sessions, settings, actor=CLI, renew=lambda session: renew(session, actor=CLI)
                )


def append(sessions, settings) -> None:
    with (
        sessions() as session,
        signer.log_transaction(session, sessions, settings=settings, actor=CLI),
    ):
        publish_catalog(session, actor=CLI, data=SAMPLE.read_bytes())


main(*sys.argv[1:])
