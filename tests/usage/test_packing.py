import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.usage.packing import NOTHING, VERSION, Figures, merged, pack, unpack

NUMBERS = st.one_of(st.integers(-5, 200), st.integers(-(2**53), 2**53))
SLOTS = st.dictionaries(st.integers(0, 59), st.builds(Figures, *[NUMBERS] * 4), max_size=10)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(SLOTS, SLOTS)
def test_what_is_packed_and_merged_comes_out_again(first, second):
    wanted = {
        slot: first.get(slot, NOTHING).plus(second.get(slot, NOTHING)) for slot in first | second
    }

    packed = merged(pack(first), second)

    assert unpack(packed) == {slot: each for slot, each in wanted.items() if any(each)}


def test_a_busy_hour_takes_seven_bytes_a_minute():
    hour = {minute: Figures(20, 0, 60_000, 8_000) for minute in range(60)}

    assert len(pack(hour)) <= 7 * 60 + 10


def test_a_form_of_the_future_is_not_guessed_at():
    with pytest.raises(ValueError, match="future"):
        unpack(bytes([VERSION + 0x10]))
