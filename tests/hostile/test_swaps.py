"""Swaps between the moments at which a verifier looks: what is loaded is what was verified, or nothing is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_runtime.verify import folder as verifier
from oneseek_runtime.verify import reading, tree
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.refusal import RefusedError
from oneseek_runtime.verify.trust import trusted_keys
from support.certified import certify, lora_weights, shared_keys

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    # More than one chunk, so that there is a middle to swap in.
    return certify(tmp_path, lora_weights(width=400_000), keys=shared_keys())[0]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def expected() -> Expected:
    return Expected(trusted=trusted_keys(str(shared_keys().trusted)))


def replace_by_other_bytes(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"evil")


def replace_by_link(path: Path) -> None:
    shutil.move(path, path.parent.parent / "moved")
    path.symlink_to(path.parent.parent / "moved")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-16, os.SEEK_END)
        file.write(b"evil")


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"evil")


def cut(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize(
    ("swap", "reason"),
    [
        pytest.param(replace_by_other_bytes, names.FILE_CHANGED, id="bytes"),
        pytest.param(replace_by_link, names.FILE_NOT_PLAIN, id="link"),
        pytest.param(replace_by_pipe, names.FILE_NOT_PLAIN, id="pipe"),
        pytest.param(Path.unlink, names.FILE_MISSING, id="gone"),
    ],
)
def test_a_file_swapped_after_it_was_listed_is_refused(
    home: Path, target: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None], reason: str
) -> None:
    listed = tree.Folder.entries

    def entries(folder: tree.Folder) -> tuple[dict[str, int], set[str]]:
        found = listed(folder)
        swap(home / WEIGHTS)
        return found

    monkeypatch.setattr(tree.Folder, "entries", entries)
    with pytest.raises(RefusedError) as raised:
        verifier.verify_folder(home, expected(), target)
    assert raised.value.reason == reason
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("swap", [overwrite, grow, cut], ids=["overwritten", "grown", "cut"])
def test_bytes_that_change_while_they_are_read_are_refused(
    home: Path, target: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None]
) -> None:
    fill, done = reading._fill, []

    def slow(file: FileIO, buffer: memoryview, path: str) -> int:
        count = fill(file, buffer, path)
        if count == len(buffer) and not done:
            done.append(True)
            swap(home / WEIGHTS)
        return count

    monkeypatch.setattr(reading, "_fill", slow)
    with pytest.raises(RefusedError) as raised:
        verifier.verify_folder(home, expected(), target)
    assert (raised.value.reason, done) == (names.FILE_CHANGED, [True])
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("swap", [replace_by_other_bytes, replace_by_link, overwrite])
def test_a_swap_between_verify_and_load_does_not_reach_what_is_loaded(
    home: Path, target: Path, swap: Callable[[Path], None]
) -> None:
    original = (home / WEIGHTS).read_bytes()
    report = verifier.verify_folder(home, expected(), target)
    swap(home / WEIGHTS)
    assert (target / WEIGHTS).read_bytes() == original
    assert not (target / WEIGHTS).is_symlink()
    assert report.digest == digest_bytes((target / "manifest.json").read_bytes())
    assert verifier.verify_copy(target, report.digest).ok
    with pytest.raises(RefusedError):
        verifier.verify_folder(home, expected())


def test_each_byte_of_the_source_is_read_once(home: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = tree.Folder.open

    def counting(folder: tree.Folder, path: str) -> object:
        opened.append(path)
        return real(folder, path)

    monkeypatch.setattr(tree.Folder, "open", counting)
    verifier.verify_folder(home, expected(), target)
    assert sorted(opened) == sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())
