"""Signed checkpoints: only the log's key over the exact text is believed."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract import checkpoint
from plimsoll.contract.checkpoint import BadCheckpoint, Checkpoint

ORIGIN = "127.0.0.1:5000/log"
SEED = b"plimsoll" * 4
PUBLIC = checkpoint.public_key_of(SEED)
ROOT = hashlib.sha256(b"root").digest()
NOTE = checkpoint.sign(origin=ORIGIN, size=7, root=ROOT, private_key=SEED)


def test_a_signed_checkpoint_verifies():
    assert checkpoint.verify(NOTE, ORIGIN, PUBLIC) == Checkpoint(ORIGIN, 7, ROOT)


def test_the_note_has_the_lines_of_the_format():
    lines = NOTE.split("\n")

    assert lines[:4] == [ORIGIN, "7", base64.b64encode(ROOT).decode(), ""]
    assert lines[4].startswith(f"— {ORIGIN} ")
    assert lines[5:] == [""]


def test_the_key_id_is_that_of_the_signed_note_specification():
    # The example key of c2sp.org/signed-note's reference implementation (golang.org/x/mod).
    name, key_hash, key = [
        "PeterNeumann",
        "c74f20a3",
        "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ]

    assert checkpoint.key_id(name, base64.b64decode(key)[1:]).hex() == key_hash


def test_the_fingerprint_is_the_sha256_of_the_raw_public_key():
    assert checkpoint.fingerprint(PUBLIC) == hashlib.sha256(PUBLIC).hexdigest()


@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_a_flipped_bit_is_never_accepted(bit):
    spoiled = bytearray(NOTE.encode())
    spoiled[bit // 8] ^= 1 << bit % 8

    with pytest.raises(BadCheckpoint):
        checkpoint.verify(spoiled.decode(errors="replace"), ORIGIN, PUBLIC)


@given(st.text())
def test_any_other_text_is_refused(text):
    with pytest.raises(BadCheckpoint):
        checkpoint.verify(text, ORIGIN, PUBLIC)


def test_another_key_is_refused():
    other = checkpoint.sign(origin=ORIGIN, size=7, root=ROOT, private_key=bytes(32))

    with pytest.raises(BadCheckpoint, match="no signature by the log's key"):
        checkpoint.verify(other, ORIGIN, PUBLIC)


def test_the_checkpoint_of_another_log_is_refused():
    other = checkpoint.sign(origin="other:443/log", size=7, root=ROOT, private_key=SEED)

    with pytest.raises(BadCheckpoint, match="is of the log"):
        checkpoint.verify(other, ORIGIN, PUBLIC)


def test_a_signature_of_another_text_is_refused():
    other = checkpoint.sign(origin=ORIGIN, size=8, root=ROOT, private_key=SEED)
    text, _ = NOTE.split("\n\n")
    _, signature = other.split("\n\n")

    with pytest.raises(BadCheckpoint, match="does not fit"):
        checkpoint.verify(f"{text}\n\n{signature}", ORIGIN, PUBLIC)


def test_signatures_of_witnesses_are_passed_over():
    witness = base64.b64encode(bytes(68)).decode()

    for line in (f"— witness.example {witness}\n", f"— {ORIGIN} {witness}\n"):
        assert checkpoint.verify(NOTE + line, ORIGIN, PUBLIC).size == 7


def test_stray_bits_in_the_base64_of_a_root_are_refused():
    root = base64.b64encode(ROOT).decode()
    stray = root[:-2] + chr(ord(root[-2]) + 1) + "="

    assert base64.b64decode(stray) == ROOT
    with pytest.raises(BadCheckpoint, match="base64"):
        checkpoint.verify(NOTE.replace(root, stray), ORIGIN, PUBLIC)


@pytest.mark.parametrize("size", ["-1", "01", "+7", " 7", "7 ", "seven", "", "\u0667"])
def test_a_size_is_a_plain_decimal(size):
    text = NOTE.replace("\n7\n", f"\n{size}\n")

    with pytest.raises(BadCheckpoint):
        checkpoint.verify(text, ORIGIN, PUBLIC)
