"""Properties are judged by what they find, not by how busy the machine is."""

import pytest
from hypothesis import HealthCheck, settings

from tests.library.contract.chronicle import Chronicle

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture
def log() -> Chronicle:
    """Build has 5,000 requests a minute with Sonnet 5 since day 0."""
    return Chronicle()
