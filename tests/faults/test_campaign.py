"""Everything goes wrong at random, by a seed that is printed: FAULTS_SEED=… shows the same plan again."""

import time

import pytest

from tests.faults.rig import GATEWAYS, Rig

pytestmark = [pytest.mark.long, pytest.mark.processes]

ROUNDS = 6
HARMS = [
    {"latency": 0.3},
    {"half_open": True},
    {"sliced": True},
    {"hold": 1.0},
    {"drop": 0.3},
    {"duplicate": 0.3},
    {"swap": 0.3},
    {"flip": 0.3},
    {"drop": 0.1, "swap": 0.1, "flip": 0.1, "sliced": True},
]


def test_nothing_that_matters_gives_way_under_random_faults(rig):
    for turn in range(ROUNDS):
        for lane in range(GATEWAYS):
            if rig.chance.random() < 0.7:
                rig.harm(lane, **rig.chance.choice(HARMS))
        rig.people.acting(1.5)
        if turn % 2:
            rig.people.raise_limit()
        kill_something(rig)
        rig.people.acting(1.0)
        for lane in list(rig.harmed):
            rig.mend(lane)
        rig.people.acting(1.5)

    rig.finish()

    rig.judge()


def kill_something(rig: Rig) -> None:
    match rig.chance.choice(["gateway", "gateway", "proxy", "portal", "portal stops", "reset"]):
        case "gateway":
            rig.kill_gateway(rig.chance.randrange(GATEWAYS))
        case "proxy":
            rig.kill_proxy()
        case "portal":
            with rig.portal_away():
                time.sleep(2)
        case "portal stops":
            with rig.portal_away("stop"):
                time.sleep(2)
        case "reset":
            for lane in range(GATEWAYS):
                rig.proxy.reset(lane)
