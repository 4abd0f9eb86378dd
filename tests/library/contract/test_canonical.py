"""Canonical JSON: one value, one text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract import canonical
from plimsoll.contract.canonical import NotCanonical

WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_was_encoded_decodes_to_the_same_value(value):
    assert canonical.decode(canonical.encode(value)) == value


@given(VALUES)
def test_the_text_is_that_of_the_standard_librarys_sorted_compact_json(value):
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    assert canonical.encode(value) == text.encode()


@given(VALUES)
def test_any_other_layout_of_a_value_is_read_but_not_canonical(value):
    text = json.dumps(value, indent=1) + "\n"

    assert canonical.read(text) == value
    with pytest.raises(NotCanonical):
        canonical.decode(text)


def test_keys_are_sorted_by_code_point_beyond_the_basic_plane():
    # In UTF-16 order the emoji would stand before U+FF5E.
    assert (
        canonical.encode({"\U0001f600": 1, "\uff5e": 2}) == '{"\uff5e":2,"\U0001f600":1}'.encode()
    )


def test_only_the_listed_escapes_are_written():
    written = canonical.encode('"\\/\b\f\n\r\t\x00\x1f\x7f\u2028é')

    assert written == '"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\u2028é"'.encode()


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), 2**53, -(2**53), "\ud800", {"\udfff": 1}, {1: 2}, b"x", {1, 2}, [[1.5]]],
)
def test_values_without_a_canonical_text_are_refused(value):
    with pytest.raises(NotCanonical):
        canonical.encode(value)


def test_a_value_nested_too_deeply_is_refused_both_ways():
    value = []
    for _ in range(100):
        value = [value]

    with pytest.raises(NotCanonical):
        canonical.encode(value)
    with pytest.raises(NotCanonical):
        canonical.read("[" * 100_000)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"b":1,"a":2}',
        '{"a": 1}',
        '"\\u00e9"',
        '"\\/"',
        "1.0",
        "1e3",
        "-0",
        "9007199254740992",
        "NaN",
        '"\\ud800"',
        "",
        "[1,]",
        b"\xef\xbb\xbf1",
        b'"\xff"',
        "[1]\n",
    ],
)
def test_texts_that_are_not_canonical_are_refused(text):
    with pytest.raises(NotCanonical):
        canonical.decode(text)


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":2}', "1.5", "NaN", "Infinity", "9007199254740992", '"\\ud800"', b"\xff", "{"],
)
def test_people_may_not_write_what_has_no_canonical_text(text):
    with pytest.raises(NotCanonical):
        canonical.read(text)


def test_a_duplicate_key_is_named():
    with pytest.raises(NotCanonical, match="'quota' stands twice"):
        canonical.read('{"quota": 1, "quota": 2}')
