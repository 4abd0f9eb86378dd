"""Goes on where the made data end: the same gateways, and the same habits, by the real clock.

Without it the meters of the demo would be empty minutes after it was made, and its gateways lost.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from app import read_plan
from examples.demo_data.customs import HABITS
from examples.demo_data.gateways import NAMES, state_folder, token_file
from examples.demo_data.habits import HOUR, Call, calls_of
from examples.demo_data.making import keys_file, marker
from examples.demo_data.traffic import took
from plimsoll.gateway import Gateway
from portal.core import clock

ENDED_LOOK_SECONDS = 1.0


class Callers:
    """Everybody who calls, until told to stop or left alone."""

    def __init__(self, data: Path, gateways: list[Gateway]) -> None:
        """Nobody calls yet."""
        self._gateways = gateways
        self._secrets: dict[str, str] = json.loads(keys_file(data).read_text("utf-8"))
        self._made_at: int = json.loads(marker(data).read_text("utf-8"))["made_at"]
        self._parent = os.getppid()
        self.stop = threading.Event()

    def run(self) -> None:
        """Make each call at its instant."""
        for call in _from_now(self._made_at):
            if not self._wait_until(call.at):
                return
            self._make(call)

    def _wait_until(self, at: float) -> bool:
        while (left := at - clock.now().timestamp()) > 0:
            # Whoever started this may have been killed: then nobody wants these calls any more.
            if self.stop.wait(min(left, ENDED_LOOK_SECONDS)) or os.getppid() != self._parent:
                return False
        return not self.stop.is_set()

    def _make(self, call: Call) -> None:
        secret, enforcer = self._secrets.get(call.key), self._gateways[call.gateway].enforcer
        decision = enforcer.check(
            secret,
            model=call.model,
            input_tokens=call.input_tokens,
            max_tokens=call.max_tokens,
            client_ip="198.51.100.200",
        )
        if decision:
            answered = threading.Timer(call.seconds, enforcer.settle, [decision.id], took(call))
            answered.daemon = True
            answered.start()


def _from_now(made_at: int) -> Iterator[Call]:
    now = clock.timestamp()
    hour = now - now % HOUR
    while True:
        calls = [
            call
            for habit in HABITS
            for call in calls_of(habit, hour, end=made_at, goes_on=True)
            if call.at >= now
        ]
        yield from sorted(calls)
        hour += HOUR


def main() -> int:
    """Call until SIGTERM, or until the process that started this is gone."""
    plan = read_plan(os.environ)
    data = plan.settings.data
    with ExitStack() as stack:
        gateways = [
            stack.enter_context(
                Gateway(
                    state_folder(data, name),
                    portal_url=plan.settings.url,
                    token=token_file(data, name).read_text("ascii").strip(),
                )
            )
            for name in NAMES
        ]
        callers = Callers(data, gateways)

        def end(number: int, frame: Any) -> None:  # noqa: ARG001
            callers.stop.set()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, end)
        callers.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
