"""Figures of many equal spans of time in one value: sixty minutes of an hour, 24 hours of a day.

First a byte: which of the four figures are anything but 0 all the time. Then which slots are filled, as
the bits of one number; then figure by figure the numbers of the filled slots. Numbers are whole, of either
sign, in seven bits a byte, the small ones in one byte.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

VERSION = 0x10
_MORE = 0x80


class Figures(NamedTuple):
    """What is counted in one span of time."""

    requests: int = 0
    refused: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def plus(self, other: "Figures") -> "Figures":
        return Figures(
            self.requests + other.requests,
            self.refused + other.refused,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )


NOTHING = Figures()


def pack(slots: Mapping[int, Figures]) -> bytes:
    """The slots that hold anything, as one value; a slot of nothing but 0 is left out."""
    filled = {slot: figures for slot, figures in sorted(slots.items()) if any(figures)}
    columns = list(zip(*filled.values(), strict=True)) or [()] * len(NOTHING)
    packed = bytearray(
        [VERSION | sum(any(column) << place for place, column in enumerate(columns))]
    )
    _write(packed, sum(1 << slot for slot in filled))
    for column in columns:
        if any(column):
            for number in column:
                # The sign goes into the last bit, so that small numbers of either sign stay short.
                _write(packed, number << 1 if number >= 0 else (-number << 1) - 1)
    return bytes(packed)


def unpack(packed: bytes) -> dict[int, Figures]:
    """The slots of a packed value. Raises ValueError where a newer form was written."""
    if packed[0] & ~0x0F != VERSION:
        raise ValueError(f"figures are packed in a form of the future: {packed[0]:#x}")
    mask, *numbers = _read(packed)
    slots = [slot for slot in range(mask.bit_length()) if mask >> slot & 1]
    count, first, columns = len(slots), 0, []
    for place in range(len(NOTHING)):
        if packed[0] >> place & 1:
            column = numbers[first : first + count]
            columns.append([-((each + 1) >> 1) if each & 1 else each >> 1 for each in column])
            first += count
        else:
            columns.append([0] * count)
    return dict(zip(slots, map(Figures, *columns), strict=True))


def total(each: Iterable[Figures]) -> Figures:
    """The sum of figures."""
    return functools.reduce(Figures.plus, each, NOTHING)


def merged(packed: bytes | None, slots: Mapping[int, Figures]) -> bytes:
    """A packed value with more figures added."""
    known = unpack(packed) if packed else {}
    for slot, figures in slots.items():
        known[slot] = known.get(slot, NOTHING).plus(figures)
    return pack(known)


def _write(packed: bytearray, number: int) -> None:
    while number >= _MORE:
        packed.append(number & 0x7F | _MORE)
        number >>= 7
    packed.append(number)


def _read(packed: bytes) -> list[int]:
    """The numbers behind the first byte, unsigned. A page reads a hundred thousand of them."""
    found, number, shift = [], 0, 0
    for byte in packed[1:]:
        if byte < _MORE:
            found.append(number | byte << shift)
            number = shift = 0
        else:
            number |= (byte & 0x7F) << shift
            shift += 7
    return found
