"""The shape of API keys and gateway tokens."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract import tokens

PREFIX = "plim_live_"
BODY = "0" * 30
BODIES = st.text(tokens.ALPHABET, min_size=30, max_size=30)


def test_the_checksum_of_a_known_text_is_its_crc32_in_base62():
    # zlib.crc32(b"123456789") is 0xCBF43926, the check value of CRC-32.
    assert tokens.checksum("123456789") == "3jZRME"
    assert tokens.checksum("") == "000000"


def test_a_new_body_is_chosen_character_by_character_from_the_alphabet():
    body = tokens.new_body(secrets.choice)

    assert len(body) == 30
    assert tokens.looks_like(tokens.build(PREFIX, body), PREFIX)


@given(BODIES, st.data())
def test_one_changed_character_never_looks_like_a_key(body, data):
    key = tokens.build(PREFIX, body)
    place = data.draw(st.integers(len(PREFIX), len(key) - 1))
    other = data.draw(st.sampled_from(tokens.ALPHABET).filter(lambda c: c != key[place]))

    assert not tokens.looks_like(key[:place] + other + key[place + 1 :], PREFIX)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PREFIX,
        tokens.build("plim_test_", BODY),
        tokens.build(PREFIX, BODY) + "0",
        tokens.build(PREFIX, BODY)[:-1],
        tokens.build(PREFIX, BODY) + "\n",
        tokens.build(PREFIX, "-" + BODY[1:]),
        PREFIX + "é" * 36,
        PREFIX + "\ud800" * 36,
    ],
)
def test_other_texts_do_not_look_like_a_key(text):
    assert not tokens.looks_like(text, PREFIX)


def test_the_digest_is_the_sha256_of_the_ascii_text():
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert tokens.secret_digest("abc") == expected
