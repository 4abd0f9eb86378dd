"""Defences switched off, one at a time: with any of them gone, the machine must find what goes wrong.

Each is a patch of one function of the gateway (or of the portal in memory), as somebody might write
it who had not thought of the case.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]

# The rules of the machine that lead to what a defence is for; with all of them it takes longer.
STREAM = ("change", "spoil", "spoil_a_change", "wait")
OUTAGE = ("change", "spoil_and_cut_off")
TOKEN = ("change", "refuse_the_token", "end_the_connection", "wait")
BROKEN_OFF = ("change", "rebuild", "spoil", "wait")
EPOCHS = ("change", "rebuild", "back_up", "restore")
REPLAYS = ("change", "spoil_a_change")
STORE = ("change", "kill_at_a_change")
LOG = ("publish", "lie_in_the_log", "back_up", "restore", "rebuild")
TIME = ("change", "set_the_portals_clock", "set_the_gateways_clock", "wait")
USAGE = (
    *("ask", "save", "ask_and_report", "refuse_usage", "rebuild", "back_up", "restore"),
    *("spoil_an_answer", "kill_soon", "reopen", "wait"),
)
POWER = ("ask", "save", "rebuild", "reopen", "wait")
WRITERS = ("change", "begin_to_write", "commit")


class Seeded(NamedTuple):
    """A mutant, and the rules that are left to the machine that has to find it."""

    make: Mutant
    rules: tuple[str, ...]


MUTANTS: dict[str, Seeded] = {}


def mutant(rules: tuple[str, ...]) -> Callable[[Mutant], Mutant]:
    """Enter one under the words of its name."""

    def enter(make: Mutant) -> Mutant:
        MUTANTS[make.__name__.replace("_", " ")] = Seeded(make, rules)
        return make

    return enter


@contextmanager
def switched_off(name: str) -> Iterator[None]:
    """One defence is off for the length of a block."""
    with pytest.MonkeyPatch.context() as patch:
        MUTANTS[name].make(patch)
        yield


def nothing(*_: Any, **__: Any) -> None:
    """Stands where something was done."""


def first(given: Any, *_: Any) -> Any:
    return given


def for_ever(*_: Any) -> float:
    return 1e9
