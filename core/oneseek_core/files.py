"""[I/O] Reading and writing artifact folders so that a crash at any line leaves either the old or the new.

The only file access in core: hashing while copying, fsync of files and folders, rename within one mount.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oneseek_core.digest import PREFIX
from oneseek_core.errors import ArtifactError
from oneseek_core.safetensors_header import LENGTH_BYTES, TensorInfo, header_length, parse_header

__all__ = [
    "copy_hashing",
    "digest_file",
    "digest_tree",
    "empty_folder",
    "fsync_dir",
    "fsync_file",
    "is_full",
    "read_json",
    "read_tensors",
    "regular_files",
    "write_atomic",
    "write_synced",
]

_CHUNK = 4 * 1024 * 1024


def is_full(error: OSError) -> bool:
    """Whether the error says that the volume (or the quota on it) is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def fsync_dir(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    """Make a file's bytes durable, whoever wrote them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name into errors of writing: the system names it only when opening fails."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_synced(path: Path, data: bytes) -> None:
    """Write a file, replacing what was there, and make its bytes durable (not its name: see `fsync_dir`)."""
    with _naming(path), path.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file under a dot name, fsync, rename over, fsync the folder."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        write_synced(temporary, data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # on a full volume the leftover would keep its room
        raise
    fsync_dir(path.parent)


def read_json(path: Path) -> Mapping[str, Any] | None:
    """The JSON object in a file; None where the file is missing or holds no object."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def regular_files(root: Path) -> Iterator[Path]:
    """Every regular file below `root`, sorted by path.

    Raises:
        ArtifactError: something in it is neither a folder nor a regular file (a link could point anywhere).
    """
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise ArtifactError(f"{path.relative_to(root)} is a link or a special file; only plain files are accepted")
        if path.is_file():
            yield path


def read_tensors(path: Path) -> Mapping[str, TensorInfo]:
    """The tensors that a safetensors file's header names; the data itself is not read.

    Raises:
        ArtifactError: it is no well-formed safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = header_length(handle.read(LENGTH_BYTES), size)
        return parse_header(handle.read(length), size - LENGTH_BYTES - length)


def digest_file(path: Path) -> tuple[str, int]:
    """(`sha256:...`, size in bytes) of one file."""
    with path.open("rb") as handle:
        hasher = hashlib.file_digest(handle, "sha256")
        return PREFIX + hasher.hexdigest(), handle.tell()


def digest_tree(root: Path) -> dict[str, tuple[str, int]]:
    """Relative POSIX path -> (digest, size) of every file below `root`."""
    return {path.relative_to(root).as_posix(): digest_file(path) for path in regular_files(root)}


def copy_hashing(source: Path, target: Path) -> tuple[str, int]:
    """Copy one file, hash the bytes on their way, fsync the copy. One read in all."""
    hasher = hashlib.sha256()
    size = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, _naming(target), target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            hasher.update(chunk)
            writer.write(chunk)
            size += len(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return PREFIX + hasher.hexdigest(), size


def empty_folder(path: Path) -> None:
    """Remove everything in a folder, and keep the folder (it may be somebody's mount)."""
    for child in path.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()
