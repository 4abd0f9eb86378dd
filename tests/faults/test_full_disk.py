"""A gateway's disk is full: it goes on deciding, obeys revocations, says what is wrong, and recovers."""

import contextlib

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.parametrize("rig", ["sqlite"], indirect=True),
]


@contextlib.contextmanager
def no_file_may_grow(rig):
    """As a quota does, wherever tests run."""
    rig.gateways[0].limit_files(1)
    yield
    rig.gateways[0].limit_files(None)


@pytest.mark.parametrize("full", [no_file_may_grow])
def test_a_gateway_with_a_full_disk_goes_on_and_says_so(rig, full):
    gateway = rig.gateways[0]
    rig.acting(1.0)

    with full(rig):
        rig.acting(3.0)
        assert "disk" in gateway.health()["reason"]
        rig.acting(1.0)

    rig.await_level()
    assert gateway.health()["reason"] is None
    history = rig.finish()
    assert history.judge() == []
