import pytest

from tests.changelog.telling import Telling
from tests.support.changes import counts, log, publish, run

__all__ = ["counts", "log", "publish", "run"]


@pytest.fixture
def telling(clock, sessions, settings, cast):
    """Acme is on Build, Delta stays on Start, and what came before is told."""
    made = Telling(sessions, settings, cast)
    made.move(cast.acme, "build")
    made.run()
    return made
