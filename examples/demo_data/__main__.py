"""`python -m examples.demo_data`: makes the demo's data where there are none, and runs the product on it.

`python -m examples.demo_data make` makes them and ends.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import app
from examples.demo_data.making import PASSWORD, NotHere, is_made, make
from examples.demo_data.world import address
from portal.config import BadSettings
from portal.core import clock

SHOWN = (
    ("mara", "owns Tidewater Maps: keys of every state, an import that meets its limit"),
    ("jonas", "manager there"),
    ("priya", "developer there"),
    ("ken", "viewer there"),
    ("oskar", "owns Nightwatch Research: around the clock, near its week's limit"),
    ("nils", "owns Lanternfish Studio: refused by a limit that was lowered"),
    ("sofia", "owns Gullwing Courier: six days old, and growing"),
    ("admin", "the provider's staff"),
)


FOLDER = "instance/demo"
STOP_SECONDS = 3.0


def main(arguments: list[str]) -> int:
    """Make what is not there yet, then run it unless told not to."""
    if arguments not in ([], ["make"]):
        print("usage: python -m examples.demo_data [make]", file=sys.stderr)
        return 2
    # A folder of its own, which everything below finds too.
    os.environ.setdefault("PORTAL_DATA", FOLDER)
    try:
        _prepare()
    except (BadSettings, NotHere) as error:
        print(f"plimsoll: {error}", file=sys.stderr)
        return 2
    if arguments:
        return 0
    with _calling():
        return app.main([])


def _prepare() -> None:
    plan = app.read_plan(os.environ)
    data = plan.settings.data
    if is_made(data):
        print(f"{data} holds a demo already. Remove the folder to have a new one, up to now.")
    else:
        print(
            f"Ten weeks of a portal's life go into {data}: this takes about a minute.", flush=True
        )
        began = time.monotonic()
        make(plan, ends_at=clock.timestamp())
        print(f"Made in {time.monotonic() - began:.0f} seconds.")
    print(f"\nSign in at {plan.settings.url}/login with the password: {PASSWORD}")
    for name, who in SHOWN:
        print(f"  {address(name):20} {who}")
    print(flush=True)


@contextmanager
def _calling() -> Iterator[None]:
    """Let the organisations of the demo go on calling, from a process of their own."""
    command = [sys.executable, "-m", "examples.demo_data.live"]
    # A session of its own: Ctrl-C in the terminal reaches it through us, after the portal.
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
