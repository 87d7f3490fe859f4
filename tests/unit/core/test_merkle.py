from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneseek_core.merkle import EMPTY_ROOT, Frontier, Tree, leaf_hash, verify_consistency, verify_inclusion

# The entries and roots by which other implementations of RFC 6962 are tested.
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

sizes = st.integers(min_value=1, max_value=300)


def tree_of(size: int) -> Tree:
    tree = Tree()
    for number in range(size):
        tree.append(str(number).encode())
    return tree


def plain_root(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << ((len(hashes) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + plain_root(hashes[:middle]) + plain_root(hashes[middle:])).digest()


def test_roots_are_those_of_other_implementations() -> None:
    tree = Tree()
    assert tree.root() == EMPTY_ROOT
    for entry, root in zip(ENTRIES, ROOTS, strict=True):
        tree.append(bytes.fromhex(entry))
        assert tree.root().hex() == root
    assert [tree.root(size).hex() for size in range(1, 9)] == ROOTS


@given(size=sizes, data=st.data())
@settings(max_examples=60)
def test_every_size_has_the_root_that_the_rfc_defines(size: int, data: st.DataObject) -> None:
    tree = tree_of(size)
    earlier = data.draw(st.integers(0, size))
    leaves = [leaf_hash(str(number).encode()) for number in range(size)]
    assert tree.root(earlier) == plain_root(leaves[:earlier])
    assert tree.leaf(size - 1) == leaves[-1]


@given(size=sizes, data=st.data())
@settings(max_examples=100)
def test_an_inclusion_proof_holds_for_its_entry_and_for_nothing_else(size: int, data: st.DataObject) -> None:
    tree = tree_of(300)
    number = data.draw(st.integers(0, size - 1))
    path, root, leaf = tree.inclusion(number, size), tree.root(size), leaf_hash(str(number).encode())
    assert len(path) <= size.bit_length()
    assert verify_inclusion(leaf, number, size, path, root)
    assert not verify_inclusion(leaf_hash(b"another"), number, size, path, root)
    assert not verify_inclusion(leaf, number, size, path, leaf_hash(b"another"))
    assert not verify_inclusion(leaf, number, size, [*path, root], root)
    assert not verify_inclusion(leaf, size, size, path, root)
    if path:
        other = data.draw(st.integers(0, size - 1).filter(lambda other: other != number))
        assert not verify_inclusion(leaf, other, size, path, root)
        assert not verify_inclusion(leaf, number, size, path[:-1], root)
        broken = data.draw(st.integers(0, len(path) - 1))
        assert not verify_inclusion(leaf, number, size, [*path[:broken], root, *path[broken + 1 :]], root)


@given(new=sizes, data=st.data())
@settings(max_examples=100)
def test_a_consistency_proof_holds_only_between_its_two_trees(new: int, data: st.DataObject) -> None:
    tree = tree_of(300)
    old = data.draw(st.integers(1, new))
    path, old_root, new_root = tree.consistency(old, new), tree.root(old), tree.root(new)
    assert verify_consistency(old, new, old_root, new_root, path)
    assert not verify_consistency(old, new, old_root, new_root, [*path, new_root])
    assert not verify_consistency(old, new, leaf_hash(b"another"), new_root, path)
    assert not verify_consistency(old, new, old_root, leaf_hash(b"another"), path)
    assert not verify_consistency(0, new, old_root, new_root, path)
    assert not verify_consistency(new + 1, new, old_root, new_root, path)
    if path:
        assert not verify_consistency(old, new, old_root, new_root, path[:-1])


@given(size=sizes, data=st.data())
@settings(max_examples=60)
def test_a_tree_that_was_cut_back_grows_as_if_nothing_had_been(size: int, data: st.DataObject) -> None:
    tree = tree_of(size)
    kept = data.draw(st.integers(0, size))
    tree.truncate(kept)
    assert (tree.size, tree.root()) == (kept, tree_of(kept).root())
    for number in range(kept, size):
        tree.append(str(number).encode())
    assert tree.root() == tree_of(size).root()


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda tree: tree.root(6), id="root of a later size"),
        pytest.param(lambda tree: tree.root(-1), id="root of no size"),
        pytest.param(lambda tree: tree.inclusion(5), id="no such entry"),
        pytest.param(lambda tree: tree.inclusion(3, 3), id="an entry after the size"),
        pytest.param(lambda tree: tree.consistency(0), id="from nothing"),
        pytest.param(lambda tree: tree.consistency(4, 3), id="backwards"),
        pytest.param(lambda tree: tree.truncate(6), id="cut to more"),
        pytest.param(lambda tree: tree.leaf(5), id="no such leaf"),
    ],
)
def test_what_is_not_there_cannot_be_asked_for(ask: object) -> None:
    with pytest.raises(ValueError, match=r"the tree has 5|no entry|cannot prove"):
        ask(tree_of(5))


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_a_list_that_is_read_once_has_the_same_root_at_every_size(entries: list[bytes]) -> None:
    tree, frontier = Tree(), Frontier()
    for entry in entries:
        tree.append(entry)
        frontier.append(entry)
        assert (frontier.size, frontier.root()) == (tree.size, tree.root())
    assert Frontier().root() == Tree().root()
