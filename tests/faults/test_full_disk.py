"""A gateway's disk is full: it goes on deciding, obeys revocations, says what is wrong, and recovers."""

import contextlib
import time

import pytest

from tests.support.product import eventually

pytestmark = [
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.parametrize("rig", ["sqlite"], indirect=True),
]


@contextlib.contextmanager
def no_file_may_grow(gateway):
    """As with a quota, wherever tests run."""
    gateway.limit_files(1)
    yield
    gateway.limit_files(None)


def test_a_gateway_with_a_full_disk_goes_on_and_says_so(rig):
    """New keys have to wait; whatever it knows it decides, and revocations hold without the disk."""
    gateway = rig.gateways[0]
    rig.people.acting(2.0)

    with no_file_may_grow(gateway):
        for key in rig.people.keys[-3:]:
            assert rig.people.revoke(key)
            time.sleep(1.5)
        eventually(lambda: "cannot be written" in (gateway.health()["reason"] or ""), seconds=3)

    rig.await_level()
    assert gateway.health()["reason"] is None
    rig.people.acting(1.0)
    rig.finish()
    rig.judge()
