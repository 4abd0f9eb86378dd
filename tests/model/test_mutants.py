"""Each defence is needed: with any one of them switched off, the machine finds what goes wrong."""

import gc
import warnings

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model import mutants, mutants_usage
from tests.model.machine import limited_to
from tests.model.seeded import MUTANTS, switched_off
from tests.model.test_machine import QUIET

# Each enters its own as it is read.
SEEDED = (mutants, mutants_usage)
# What one seed finds in half of its runs is found by one of these.
SEEDS = range(1, 6)


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_the_model_finds_what_goes_wrong_without_a_defence(name: str) -> None:
    # The first failure is enough; which of several, and how short it can be, is of no interest.
    bounded = settings(
        max_examples=300,
        stateful_step_count=12,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        **QUIET,
    )

    def run() -> None:
        machine = limited_to(MUTANTS[name].rules)
        for each in SEEDS:
            run_state_machine_as_test(seed(each)(machine), settings=bounded)

    with pytest.raises(AssertionError), switched_off(name):
        run()

    # A gateway without a defence may fail where it cannot be closed any more.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
