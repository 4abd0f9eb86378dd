"""What the state machines stand on: the real portal's database with the cast in it, and a clock to move."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from hypothesis.stateful import RuleBasedStateMachine

from portal.core import clock as core_clock
from portal.core.db import make_engine, make_sessions
from tests.support import cast as casting
from tests.support.clocks import ManualClock
from tests.support.worlds import Worlds, make_settings


class PeopledMachine(RuleBasedStateMachine):
    """A subclass made by the test says which `worlds`, and which kind of `database`."""

    worlds: ClassVar[Worlds]
    database: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(TemporaryDirectory()))
        copy = self.worlds.copy(self.database, "peopled", self.folder / "data")
        self.settings = make_settings(self.stack.enter_context(copy), self.folder / "data")
        self.clock = ManualClock()
        self.stack.enter_context(core_clock.running(self.clock))
        engine = make_engine(self.settings.database_url)
        self.stack.callback(engine.dispose)
        self.sessions = make_sessions(engine, strict=True)
        self.cast = casting.find(self.sessions)

    def teardown(self) -> None:
        self.stack.close()
