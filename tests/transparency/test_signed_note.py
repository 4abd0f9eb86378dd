"""The signed note and the tree, by a second implementation written from LIMITS 3 alone.

It shares nothing with `plimsoll.contract` but the arithmetic of Ed25519.
"""

import base64
import json
from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

EM_DASH = "\u2014"


def tree_hash(entries: list[bytes]) -> bytes:
    """leaf = H(0x00 ‖ entry), node = H(0x01 ‖ left ‖ right), split at the largest power of two below n."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    left, right = tree_hash(entries[:split]), tree_hash(entries[split:])
    return sha256(b"\x01" + left + right).digest()


def open_note(note: bytes, *, name: str, public_key: bytes) -> tuple[str, int, bytes]:
    """Origin, size and root of a note that `public_key` signed as `name`."""
    text, blank, signatures = note.decode().partition("\n\n")
    assert blank
    signed = f"{text}\n".encode()
    wanted = sha256(name.encode() + b"\x0a" + b"\x01" + public_key).digest()[:4]
    for line in signatures.splitlines():
        dash, signer, encoded = line.split(" ")
        raw = base64.b64decode(encoded)
        if (dash, signer, raw[:4]) == (EM_DASH, name, wanted):
            Ed25519PublicKey.from_public_bytes(public_key).verify(raw[4:], signed)
            origin, size, root = text.split("\n")
            return origin, int(size), base64.b64decode(root)
    raise AssertionError("nobody signed this whom we know")


@pytest.mark.parametrize(
    ("count", "root"),
    [
        (0, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        (1, "4qzhg8TlVgcLMiANzkHC4+xjGkHVskDCmC6KjZiQk3o="),
        (2, "4NNvzfMofH33LkUyQ9ifsX9MtX18EqoBx+cIqmfQNNo="),
        (3, "3Z54eXK2zbUGVvyRoBIpljtzGYeg62lJdZPBrl6QdB8="),
        (5, "2UJokJBCaegLUn8uutgZBr9r9Hl+mMwnZsWP+EG5W8E="),
        (7, "yMMoKcJr4+m9cUQSHBcO2Ezv8zcae/EE7oeY3PRyBxc="),
    ],
)
def test_the_second_implementation_fits_the_published_vectors(count, root):
    entries = [f"limit-log entry {number}".encode() for number in range(count)]

    assert base64.b64encode(tree_hash(entries)).decode() == root


@pytest.fixture
def fetched(client, catalog):
    """Note and leaves as a stranger gets them, and what the first leaf says of the key."""
    note = client.get("/log/checkpoint").data
    leaves = client.get("/log/entries").data.split(b"\n")[:-1]
    opened = json.loads(leaves[0])["body"]
    return note, leaves, opened["origin"], base64.b64decode(opened["public_key"])


def test_it_accepts_what_the_portal_signs(fetched):
    note, leaves, name, public_key = fetched

    assert open_note(note, name=name, public_key=public_key) == (name, 2, tree_hash(leaves))


def test_the_note_has_no_other_form(fetched):
    note, leaves, name, _ = fetched
    head, tail = note.decode().split("\n\n")

    assert head == f"{name}\n2\n{base64.b64encode(tree_hash(leaves)).decode()}"
    assert tail.startswith(f"{EM_DASH} {name} ")
    assert tail.endswith("\n")
    assert tail.count("\n") == 1


def test_it_refuses_the_note_with_any_byte_of_its_text_changed(fetched):
    note, _, name, public_key = fetched
    text_ends = note.index(b"\n\n")

    for place in range(len(name) + 1, text_ends):
        if note[place : place + 1] == b"\n":
            continue
        altered = note[:place] + bytes([note[place] ^ 1]) + note[place + 1 :]
        with pytest.raises(InvalidSignature):
            open_note(altered, name=name, public_key=public_key)


def test_entries_are_canonical_json(fetched):
    _, leaves, _, _ = fetched

    for seq, leaf in enumerate(leaves):
        entry = json.loads(leaf)
        again = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert again.encode() == leaf
        assert (sorted(entry), entry["seq"]) == (["at", "body", "kind", "seq"], seq)
