"""The portal's database comes back from an older backup, under gateways that know better."""

import time

import pytest

from tests.faults.processes import Asker
from tests.support.product import eventually

pytestmark = [pytest.mark.long, pytest.mark.processes]


def test_an_older_backup_raises_nothing_from_the_dead(rig, tmp_path):
    rig.people.acting(1.0)
    rig.await_level()
    rig.side.back_up(tmp_path / "backup.db")
    time.sleep(0.1)
    dead = [rig.people.issue() for _ in range(2)] + rig.people.keys[3:5]
    forgotten = [rig.people.issue() for _ in range(2)]
    for key in dead:
        assert rig.people.revoke(key)
    rig.await_level()
    assert codes(rig, dead) == {"key_revoked"}
    assert codes(rig, forgotten) == {""}

    rig.restore(tmp_path / "backup.db", restore=rig.side.restore)
    rig.await_level()
    rig.people.acting(2.0)
    rig.kill_gateway(0)
    rig.await_level()

    # What was revoked before the backup was taken back is dead or unknown, wherever it was heard.
    assert "" not in codes(rig, dead)
    assert codes(rig, dead[2:]) == {"key_revoked"}
    eventually(lambda: codes(rig, forgotten) == {"key_unknown"})
    assert all("another history" in gateway.said for gateway in rig.gateways)
    rig.finish()
    rig.judge()


def codes(rig, keys):
    """What all gateways say about some keys; nothing for those that pass."""
    found = set()
    for gateway in rig.gateways:
        asker = Asker(gateway)
        found |= {asker.ask(*key).code for key in keys}
        asker.close()
        rig.askers.append(asker)
    return found
