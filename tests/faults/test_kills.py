"""Kill -9 of everything in turn, while people act and callers call."""

import threading
import time

import pytest

from tests.faults.rig import GATEWAYS

pytestmark = [pytest.mark.long, pytest.mark.processes]


def test_kill_9_of_everything_in_turn_loses_nothing_but_a_second_of_reports(rig):
    for number in range(GATEWAYS):
        rig.people.acting(0.5)
        rig.kill_gateway(number)
    rig.kill_proxy()
    rig.people.acting(1.0)
    people = threading.Thread(target=rig.people.acting, args=(2.0,))
    people.start()
    time.sleep(0.7)
    with rig.portal_away():  # in the middle of whatever people are at
        people.join()
    rig.people.acting(1.0)
    rig.people.raise_limit()

    history = rig.finish()

    assert {copy.gateway for copy in history.copies} == {each.name for each in rig.gateways}
    rig.judge()
