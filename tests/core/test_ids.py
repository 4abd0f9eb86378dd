import re

import pytest

from portal.core import clock
from portal.core.ids import new_id
from tests.support.clocks import ManualClock

SHAPE = re.compile(r"key_[0-9a-hjkmnp-tv-z]{26}")
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def test_an_id_is_its_prefix_and_26_characters_of_crockford_base32():
    assert SHAPE.fullmatch(new_id("key"))


def test_ids_sort_by_the_time_they_were_made():
    now = ManualClock()
    made = []

    with clock.running(now):
        for _ in range(20):
            made.append(new_id("key"))
            now.advance(milliseconds=1)

    assert made == sorted(made)


def test_an_id_is_a_uuid_of_version_7():
    digits = new_id("key").removeprefix("key_")

    number = sum(ALPHABET.index(digit) << 5 * place for place, digit in enumerate(digits[::-1]))

    assert number >> 76 & 0xF == 7
    assert number >> 62 & 0b11 == 0b10


def test_ids_of_one_instant_differ():
    with clock.running(ManualClock()):
        assert len({new_id("key") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("prefix", ["org", "usr", "gw"])
def test_the_prefix_says_the_kind(prefix):
    assert new_id(prefix).startswith(f"{prefix}_")
