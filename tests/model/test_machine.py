"""The sync API against faults: any history of a portal, a wire and a gateway (SYNC.md section 5)."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import SyncMachine

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


def test_the_model_holds_in_a_few_histories() -> None:
    few = settings(max_examples=3, stateful_step_count=10, derandomize=True, **QUIET)

    run_state_machine_as_test(SyncMachine, settings=few)


@pytest.mark.long
def test_the_model_holds_in_many_histories() -> None:
    many = settings(max_examples=600, stateful_step_count=30, derandomize=True, **QUIET)

    run_state_machine_as_test(SyncMachine, settings=many)
