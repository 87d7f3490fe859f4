from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core.digest import canonical_json, digest_bytes, manifest_bytes, manifest_digest
from oneseek_core.files import digest_tree

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('aåö"\\ '),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abå"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abcå"), JSON))
def test_the_order_in_which_keys_were_set_does_not_matter(value: dict[str, object]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_canonical_json_has_sorted_keys_no_spaces_and_plain_utf8() -> None:
    assert canonical_json({"b": [1, None], "a": "å"}) == '{"a":"å","b":[1,null]}'.encode()


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))


@given(st.lists(st.binary()))
def test_a_digest_does_not_depend_on_how_bytes_are_cut(chunks: list[bytes]) -> None:
    assert digest_bytes(chunks) == digest_bytes(b"".join(chunks))
    assert digest_bytes(chunks) == f"sha256:{hashlib.sha256(b''.join(chunks)).hexdigest()}"


FILES = st.dictionaries(st.from_regex(r"[a-c]{1,3}(/[d-f]{1,3})?", fullmatch=True), st.binary(max_size=9), max_size=4)


@given(FILES)
def test_a_manifest_does_not_depend_on_the_order_of_files(files: dict[str, bytes]) -> None:
    table = {path: (digest_bytes(data), len(data)) for path, data in files.items()}
    assert manifest_bytes(dict(reversed(table.items()))) == manifest_bytes(table)


def make(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


CONTENT = {"a.txt": b"one", "sub/b.txt": b"two"}


def test_a_folders_digest_is_unchanged_when_only_place_times_and_modes_change(tmp_path: Path) -> None:
    one, other = make(tmp_path / "one", CONTENT), make(tmp_path / "elsewhere" / "two", CONTENT)
    os.utime(other / "a.txt", (1, 1))
    (other / "a.txt").chmod(0o600)
    assert manifest_digest(digest_tree(one)) == manifest_digest(digest_tree(other))


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(CONTENT | {"a.txt": b"One"}, id="a-byte"),
        pytest.param({"c.txt": b"one", "sub/b.txt": b"two"}, id="a-name"),
        pytest.param({"a.txt": b"two", "sub/b.txt": b"one"}, id="swapped"),
        pytest.param(CONTENT | {"c.txt": b""}, id="an-empty-file-more"),
        pytest.param({"a.txt": b"one"}, id="a-file-less"),
    ],
)
def test_a_folders_digest_changes_with_its_content(tmp_path: Path, files: dict[str, bytes]) -> None:
    one, other = make(tmp_path / "one", CONTENT), make(tmp_path / "two", files)
    assert manifest_digest(digest_tree(one)) != manifest_digest(digest_tree(other))
