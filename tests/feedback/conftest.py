import pytest

from tests.feedback.board import Board
from tests.feedback.people import sign, token
from tests.support.changes import counts, log, publish, run

__all__ = ["counts", "log", "publish", "run", "sign", "token"]


@pytest.fixture
def board(clock, sessions, settings, cast):
    """The board, empty, and the change that the catalogue is: what came before is read."""
    return Board(sessions, settings, cast)
