"""The hash tree over the log's entries (RFC 6962 section 2.1, LIMITS.md section 3)."""

import hashlib
from collections.abc import Iterable

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry): 32 bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right): 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree that keeps only the roots of its complete subtrees: O(log n) memory."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        # Roots of complete subtrees, largest first: one per set bit of `size`.
        self._peaks: list[bytes] = []

    def append(self, entry: bytes) -> None:
        """Add one entry, given as the bytes of its leaf (not their hash)."""
        peak = leaf_hash(entry)
        carry = self.size
        # Like adding one to a binary number: each trailing set bit is a subtree that completes.
        while carry & 1:
            peak = node_hash(self._peaks.pop(), peak)
            carry >>= 1
        self._peaks.append(peak)
        self.size += 1

    def root(self) -> bytes:
        """The root over all entries so far; of an empty tree SHA-256("")."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def copy(self) -> "Tree":
        """A tree of its own with the same entries, to try an extension on."""
        other = Tree()
        other.size = self.size
        other._peaks = list(self._peaks)
        return other


def root(entries: Iterable[bytes]) -> bytes:
    """The root over the given entries (leaf bytes)."""
    tree = Tree()
    for entry in entries:
        tree.append(entry)
    return tree.root()
