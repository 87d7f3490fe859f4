"""[I/O] One pass over the files: each is read once, hashed, copied where it is wanted, and its start kept for checks.

What is checked later is what was hashed here. Files that ought to be equal (a version holds its weights twice) are
read in step and compared, which is many times cheaper than hashing each. The digests run outside the interpreter's
lock; more threads than cores keep all of them busy until the last file is done. What a serving pod's other
containers get does not depend on how many there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import PREFIX
from oneseek_core.safetensors_header import LENGTH_BYTES
from oneseek_runtime.verify.refusal import RefusedError
from oneseek_runtime.verify.tree import Folder, unreadable

__all__ = ["LARGEST_HEAD", "check_files"]

LARGEST_HEAD = 16 * 1024 * 1024  # bytes of a file's start that are kept
_CHUNK = 256 * 1024  # bytes; stays in the processor's cache between reading, hashing and writing
_THREADS = 8
FileTable = Mapping[str, tuple[str, int]]


@dataclass(slots=True)
class _Head:
    """The start of a file: all of a small one, of safetensors the header."""

    wanted: int
    parts: list[bytes] = field(default_factory=list)
    kept: int = 0

    def take(self, chunk: memoryview, *, safetensors: bool) -> None:
        if safetensors and not self.kept and len(chunk) >= LENGTH_BYTES:
            header = int.from_bytes(chunk[:LENGTH_BYTES], "little")
            self.wanted = min(self.wanted, LENGTH_BYTES + header)
        if self.kept < self.wanted:
            part = bytes(chunk[: self.wanted - self.kept])
            self.parts.append(part)
            self.kept += len(part)


def check_files(
    folder: Folder, table: FileTable, *, copies: Mapping[str, Path] | None = None, heads: bool = True
) -> dict[str, bytes]:
    """Make sure that the folder's files have the digests and sizes in `table`; the result is each file's start.

    `copies` says which files are written where on the way. Without `heads` nothing is kept.

    Raises:
        RefusedError: FileChanged, naming the file; FileMissing, FileNotPlain, ArtifactUnreadable.
        OSError: a copy cannot be written.
    """
    groups: dict[tuple[str, int], list[str]] = {}
    for path, key in sorted(table.items()):
        groups.setdefault(key, []).append(path)
    largest_first = sorted(groups.items(), key=lambda item: -item[0][1] * len(item[1]))
    kept: dict[str, bytes] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = [
            pool.submit(_check_group, folder, paths, digest, size, copies or {}, heads=heads)
            for (digest, size), paths in largest_first
        ]
        try:
            for future in waiting:
                kept.update(future.result())
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
    return kept


def _check_group(
    folder: Folder, paths: Sequence[str], digest: str, size: int, copies: Mapping[str, Path], *, heads: bool
) -> dict[str, bytes]:
    """Files that must be equal: the first is hashed, the others are compared with it as they are read."""
    first, *others = paths
    head = _Head(LARGEST_HEAD if heads else 0)
    hasher, total = hashlib.sha256(), 0
    whole, other_whole = bytearray(_CHUNK), bytearray(_CHUNK if others else 0)
    buffer, other_buffer = memoryview(whole), memoryview(other_whole)
    with ExitStack() as stack:
        file = stack.enter_context(folder.open(first))
        beside = [(path, stack.enter_context(folder.open(path))) for path in others]
        writers = [stack.enter_context(copies[path].open("xb", buffering=0)) for path in paths if path in copies]
        while count := _fill(file, buffer, first):
            chunk = buffer[:count]
            total += count
            if total > size:
                raise _changed(first)
            hasher.update(chunk)
            head.take(chunk, safetensors=first.endswith(".safetensors"))
            for path, other in beside:
                # Whole arrays are compared as memory; views of them would be, byte by byte, a hundred times slower.
                same = _fill(other, other_buffer, path) == count
                if not same or (
                    other_whole != whole if count == _CHUNK else bytes(other_buffer[:count]) != bytes(chunk)
                ):
                    raise _changed(first if _differs(folder, first, digest) else path)
            for writer in writers:
                _write(writer, chunk)
        if total != size or PREFIX + hasher.hexdigest() != digest:
            raise _changed(first)
        for path, other in beside:
            if other.read(1):
                raise _changed(path)
    return dict.fromkeys(paths, b"".join(head.parts))


def _fill(file: FileIO, buffer: memoryview, path: str) -> int:
    """Read until the buffer is full or the file at its end; the number of bytes."""
    filled = 0
    try:
        while filled < len(buffer) and (count := file.readinto(buffer[filled:])):
            filled += count
    except OSError as error:
        raise unreadable(path, error) from error
    return filled


def _write(file: FileIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _differs(folder: Folder, path: str, digest: str) -> bool:
    """Whether it is this one of two unequal files that was changed; only to name it."""
    with folder.open(path) as file:
        return PREFIX + hashlib.file_digest(file, "sha256").hexdigest() != digest


def _changed(path: str) -> RefusedError:
    return RefusedError(names.FILE_CHANGED, f"{path} does not hold the bytes that were certified")
