"""A Merkle tree over the ledger's lines (RFC 6962): short proofs that an entry is in it and that it only ever grew.

A chain of hashes shows neither a cut tail nor a rewritten history, and proves an entry only by walking all of it.
The tree keeps the hash of every complete subtree, level by level in flat arrays (64 bytes an entry in all), so that
appending and proving take O(log n) hashes and the root of every earlier size can still be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["EMPTY_ROOT", "Frontier", "Tree", "leaf_hash", "verify_consistency", "verify_inclusion"]

_BYTES = 32
_sha256 = hashlib.sha256
EMPTY_ROOT = _sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry; the prefix keeps it apart from that of a node."""
    return _sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()


class Tree:
    """The tree of an append-only list. Readers in other threads may ask for sizes that are not being cut off."""

    __slots__ = ("_levels", "_size")

    def __init__(self) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self._size = 0

    @property
    def size(self) -> int:
        """How many entries it holds."""
        return self._size

    def append(self, entry: bytes) -> None:
        """Add an entry: one leaf, and every subtree it completes (one more hash on average)."""
        levels = self._levels
        digest = _sha256(b"\x00" + entry).digest()
        index, height = self._size, 0
        while index & 1:
            level = levels[height]
            parent = _sha256(b"\x01" + level[-_BYTES:] + digest).digest()
            level += digest
            digest = parent
            index >>= 1
            height += 1
            if height == len(levels):
                levels.append(bytearray())
        levels[height] += digest
        self._size += 1

    def truncate(self, size: int) -> None:
        """Forget the entries from `size` on; for appends that did not become durable."""
        if size > self._size:
            raise ValueError(f"the tree has {self._size} entries, not {size}")
        for height, level in enumerate(self._levels):
            del level[(size >> height) * _BYTES :]
        self._size = size

    def leaf(self, number: int) -> bytes:
        """The leaf hash of an entry."""
        self._check(number + 1)
        return self._complete(0, number)

    def root(self, size: int | None = None) -> bytes:
        """The root over the first `size` entries; of all without it."""
        size = self._size if size is None else size
        self._check(size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, number: int, size: int | None = None) -> list[bytes]:
        """The proof that entry `number` is among the first `size`: sibling hashes, from the leaf up.

        Raises:
            ValueError: there is no such entry or size.
        """
        size = self._size if size is None else size
        self._check(size)
        if not 0 <= number < size:
            raise ValueError(f"there is no entry {number} among the first {size}")
        path = []
        first, last = 0, size
        while last - first > 1:
            middle = first + _split(last - first)
            if number < middle:
                path.append(self._range(middle, last))
                last = middle
            else:
                path.append(self._range(first, middle))
                first = middle
        return path[::-1]

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The proof that the first `new` entries begin with what the first `old` were (`1 <= old <= new`).

        Raises:
            ValueError: there are no such sizes.
        """
        new = self._size if new is None else new
        self._check(new)
        if not 1 <= old <= new:
            raise ValueError(f"cannot prove size {new} from size {old}")
        path = []
        first, last, whole = 0, new, True
        while last != old:
            middle = first + _split(last - first)
            if old <= middle:
                path.append(self._range(middle, last))
                last = middle
            else:
                path.append(self._range(first, middle))
                first, whole = middle, False
        if not whole:
            path.append(self._range(first, last))
        return path[::-1]

    def _check(self, size: int) -> None:
        if not 0 <= size <= self._size:
            raise ValueError(f"the tree has {self._size} entries, not {size}")

    def _complete(self, height: int, index: int) -> bytes:
        return bytes(self._levels[height][index * _BYTES : (index + 1) * _BYTES])

    def _range(self, first: int, last: int) -> bytes:
        """The hash of entries `first` to `last` (excluded), where `first` is where RFC 6962 would split."""
        parts = []
        while first < last:
            height = (last - first).bit_length() - 1
            parts.append(self._complete(height, first >> height))
            first += 1 << height
        digest = parts.pop()
        while parts:
            digest = _node(parts.pop(), digest)
        return digest


class Frontier:
    """The root of a list that is read once, in O(log n) memory: only the subtrees that are still to be joined."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self._peaks: list[bytes] = []
        self.size = 0

    def append(self, entry: bytes) -> None:
        """Add an entry, and join every two subtrees of one size."""
        digest, index = leaf_hash(entry), self.size
        while index & 1:
            digest = _node(self._peaks.pop(), digest)
            index >>= 1
        self._peaks.append(digest)
        self.size += 1

    def root(self) -> bytes:
        """The root over the entries so far. Law: that of a `Tree` with the same entries."""
        if not self._peaks:
            return EMPTY_ROOT
        digest = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            digest = _node(peak, digest)
        return digest


def _split(size: int) -> int:
    """The largest power of two that is smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def verify_inclusion(leaf: bytes, number: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the tree of `size` entries with `root` has `leaf` at `number` (RFC 9162, 2.1.3.2)."""
    if not 0 <= number < size:
        return False
    index, last, digest = number, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            digest = _node(sibling, digest)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            digest = _node(digest, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and digest == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree of `new` entries goes on from that of `old` (RFC 9162, 2.1.4.2)."""
    if not 1 <= old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    as_old = as_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            as_old, as_new = _node(sibling, as_old), _node(sibling, as_new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            as_new = _node(as_new, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and as_old == old_root and as_new == new_root
