"""Canonical JSON: one value, one text (EXACT.md 6).

UTF-8 without BOM, keys sorted by code point, no spaces, non-ASCII raw, whole numbers below
2**53 in size, no floats, no duplicate keys, no lone surrogates.
"""

import json
from collections.abc import Iterable
from typing import Any

import orjson

_BOUND = 2**53
# Far above any entry or record, far below what would exhaust the stack.
_DEPTH_MAX = 64
_PLAIN = frozenset({str, bool, type(None)})


class NotCanonical(ValueError):
    """A value or text that canonical JSON does not allow."""


def encode(value: object) -> bytes:
    """The canonical text of a value made of dicts, lists, strings, ints, booleans and None.

    Raises:
        NotCanonical: a float, an integer of 2**53 or more in size, a lone surrogate, another type.
    """
    _check(value, 0)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise NotCanonical(str(error)) from error


def decode(data: bytes | str) -> Any:
    """The value of a canonical text, and of no other: a text that encodes differently is refused.

    Raises:
        NotCanonical: not UTF-8, not JSON, or not the canonical text of its value.
    """
    try:
        raw = data.encode() if isinstance(data, str) else bytes(data)
        value = orjson.loads(raw)
    except ValueError as error:
        raise NotCanonical(str(error)) from error
    # Encoding again finds duplicate keys, floats, spaces, order and escapes in one comparison.
    if encode(value) != raw:
        raise NotCanonical("not the canonical text of its value")
    return value


def read(data: bytes | str) -> Any:
    """The value of JSON that a person wrote: any layout, but no floats and no duplicate keys.

    Raises:
        NotCanonical: not UTF-8, not JSON, or a value that `encode` refuses.
    """
    try:
        text = data if isinstance(data, str) else bytes(data).decode()
        value = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(str(error)) from error
    encode(value)
    return value


def _check(value: object, depth: int) -> None:
    if isinstance(value, (str, bool)) or value is None:
        return
    if isinstance(value, int):
        if not -_BOUND < value < _BOUND:
            raise NotCanonical("a number is 2**53 or more in size")
        return
    if depth == _DEPTH_MAX:
        raise NotCanonical("nested too deeply")
    for member in _members(value):
        # Most members are plain, and a snapshot has millions: no call for those.
        if type(member) not in _PLAIN:
            _check(member, depth + 1)


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        # Keys that are not strings are refused by orjson itself.
        return value.values()
    if isinstance(value, (list, tuple)):
        return value
    raise NotCanonical(f"{type(value).__name__} is not allowed")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise NotCanonical(f"the key {name!r} stands twice")
        members[name] = value
    return members
