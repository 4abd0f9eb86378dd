"""Signs in a process of its own and is killed at a chosen step: `killed.py DATABASE_URL DATA STEP`."""

import os
import signal
import sys
from pathlib import Path

from portal.config import Settings
from portal.core import clock
from portal.transparency import signer, statefile
from tests.support.clocks import ManualClock
from tests.support.worlds import opened, register_records


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(function):
    def wrapped(*values, **more):
        function(*values, **more)
        die()

    return wrapped


def arrange(step: str) -> None:
    if step == "before the signature":
        signer.checkpoint.sign = die
    elif step == "before the commit":
        signer._store = after(signer._store)
    elif step == "before the file":
        statefile.write = die
    elif step == "before the file's new name":
        Path.replace = die
    elif step == "after the file":
        statefile.write = after(statefile.write)


def main(url: str, data: str, step: str) -> None:
    settings = Settings(database_url=url, data=Path(data), secret_key="for tests")
    register_records()
    arrange(step)
    with opened(settings) as sessions, clock.running(ManualClock()):
        signer.sign_new(sessions, settings)


main(*sys.argv[1:])
