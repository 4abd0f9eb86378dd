import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core.encryption import decrypt, encrypt


@given(text=st.text(max_size=200), key=st.text(max_size=60), purpose=st.text(max_size=60))
def test_what_was_encrypted_is_read_again(text, key, purpose):
    token = encrypt(text, key=key, purpose=purpose)

    assert decrypt(token, key=key, purpose=purpose) == text


def test_another_key_or_purpose_reads_nothing():
    token = encrypt("hello", key="a", purpose="of Ada")

    assert decrypt(token, key="b", purpose="of Ada") is None
    assert decrypt(token, key="a", purpose="of Ben") is None


@given(place=st.integers(0, 32), bit=st.integers(0, 7))
def test_a_changed_token_reads_nothing(place, bit):
    data = bytearray(base64.urlsafe_b64decode(encrypt("hello", key="a", purpose="b")))
    data[place] ^= 1 << bit

    token = base64.urlsafe_b64encode(data).decode()

    assert decrypt(token, key="a", purpose="b") is None


@pytest.mark.parametrize("token", ["", "x", "====", "A" * 11, "é" * 40, "AAAA" * 10])
def test_rubbish_reads_nothing(token):
    assert decrypt(token, key="a", purpose="b") is None


def test_the_same_text_is_never_encrypted_alike():
    assert encrypt("x", key="a", purpose="b") != encrypt("x", key="a", purpose="b")
