from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from oneseek_core.errors import ArtifactError
from oneseek_core.files import (
    copy_hashing,
    digest_file,
    digest_tree,
    empty_folder,
    is_full,
    read_json,
    write_atomic,
)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_content_and_no_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"old")
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space") as raised:
        write_atomic(path, b"new")
    assert is_full(raised.value)
    assert path.read_bytes() == b"old"
    assert [child.name for child in tmp_path.iterdir()] == ["state.json"]


def test_what_a_killed_writer_left_does_not_disturb_the_next(tmp_path: Path) -> None:
    (tmp_path / f".state.json.tmp-{os.getpid()}").write_bytes(b"half of something longer")
    write_atomic(tmp_path / "state.json", b"new")
    assert {child.name: child.read_bytes() for child in tmp_path.iterdir()} == {"state.json": b"new"}


def test_bytes_are_durable_before_their_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda path, target: (calls.append("rename"), rename(path, target))[1])
    write_atomic(tmp_path / "state.json", b"new")
    assert calls == ["fsync", "rename", "fsync"]


def test_an_error_while_writing_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").write_bytes(b"data")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as raised:
        copy_hashing(tmp_path / "source", tmp_path / "target")
    assert raised.value.filename == str(tmp_path / "target")


def test_a_copy_is_hashed_as_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(5 * 1024 * 1024))
    assert copy_hashing(tmp_path / "source", tmp_path / "sub" / "target") == digest_file(tmp_path / "source")
    assert (tmp_path / "sub" / "target").read_bytes() == (tmp_path / "source").read_bytes()


def test_a_copy_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        copy_hashing(tmp_path / "source", tmp_path / "target")


def link_to_outside(folder: Path) -> None:
    (folder / "sub" / "link").symlink_to("/etc/passwd")


def link_to_folder(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "sub")


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "fifo")


@pytest.mark.parametrize("add", [link_to_outside, link_to_folder, fifo])
def test_a_folder_with_links_or_special_files_is_refused(tmp_path: Path, add: object) -> None:
    (tmp_path / "sub").mkdir()
    add(tmp_path)  # type: ignore[operator]
    with pytest.raises(ArtifactError, match="is a link or a special file"):
        digest_tree(tmp_path)


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"\xff"], ids=["empty", "list", "cut", "no-utf8"])
def test_what_is_no_json_object_reads_as_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert read_json(tmp_path / "file") is None
    assert read_json(tmp_path / "missing") is None


def test_emptying_a_folder_keeps_it_and_what_its_links_point_at(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    folder = tmp_path / "folder"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "link").symlink_to(kept)
    empty_folder(folder)
    assert list(folder.iterdir()) == []
    assert (kept / "file").exists()
