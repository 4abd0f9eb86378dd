import pytest
from flask import Flask

from portal.core.db import Sessions
from tests.support.wire import Wire, enrol


@pytest.fixture
def wire(app: Flask, sessions: Sessions) -> Wire:
    """An enrolled gateway's line to the portal."""
    return Wire(app, enrol(sessions))
