"""The hash tree against the published vectors and against the recursive definition."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract import merkle

# LIMITS.md section 3: leaves are the ASCII texts "limit-log entry 0" and so on.
VECTORS = {
    0: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    1: "4qzhg8TlVgcLMiANzkHC4+xjGkHVskDCmC6KjZiQk3o=",
    2: "4NNvzfMofH33LkUyQ9ifsX9MtX18EqoBx+cIqmfQNNo=",
    3: "3Z54eXK2zbUGVvyRoBIpljtzGYeg62lJdZPBrl6QdB8=",
    5: "2UJokJBCaegLUn8uutgZBr9r9Hl+mMwnZsWP+EG5W8E=",
    7: "yMMoKcJr4+m9cUQSHBcO2Ezv8zcae/EE7oeY3PRyBxc=",
}


def by_definition(entries):
    """RFC 6962 section 2.1: split at the largest power of two smaller than n."""
    if not entries:
        return merkle.EMPTY_ROOT
    if len(entries) == 1:
        return merkle.leaf_hash(entries[0])
    split = 1 << (len(entries) - 1).bit_length() - 1
    return merkle.node_hash(by_definition(entries[:split]), by_definition(entries[split:]))


@pytest.mark.parametrize("size", VECTORS)
def test_roots_are_those_of_the_published_vectors(size):
    root = merkle.root(f"limit-log entry {number}".encode() for number in range(size))

    assert base64.b64encode(root).decode() == VECTORS[size]


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_a_growing_tree_has_at_each_size_the_root_of_the_definition(entries):
    tree = merkle.Tree()

    for size, entry in enumerate(entries):
        assert tree.root() == by_definition(entries[:size])
        tree.append(entry)

    assert (tree.size, tree.root()) == (len(entries), by_definition(entries))


def test_a_copy_grows_alone():
    tree = merkle.Tree()
    tree.append(b"first")
    before = tree.root()

    other = tree.copy()
    other.append(b"second")

    assert (tree.size, tree.root()) == (1, before)
    assert other.root() == merkle.root([b"first", b"second"])
