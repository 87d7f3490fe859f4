"""[I/O] The weights on their way into the folder: one read, one thread a copy, each copy hashed as it is written.

The header is checked before anything is written, from the same open file: nobody can swap it in between.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from queue import Queue

from oneseek_core.digest import PREFIX
from oneseek_core.errors import ArtifactError
from oneseek_core.safetensors_header import LENGTH_BYTES, TensorInfo, header_length, parse_header
from oneseek_runtime.certify.layout import TORCH_WEIGHTS, WEIGHTS
from oneseek_runtime.certify.torch_zip import TorchArchive

__all__ = ["copy_weights"]

_CHUNK = 1024 * 1024  # bytes
_AHEAD = 32  # chunks that the reader may be ahead of the slowest writer
_SYNC = 64 * 1024 * 1024  # bytes after which a writer pushes them to the disk, while the others go on hashing
FileTable = dict[str, tuple[str, int]]


def copy_weights(
    source: Path, incoming: Path, folder: str, check: Callable[[Mapping[str, TensorInfo]], None]
) -> FileTable:
    """Write the weights as safetensors, twice, and as old readers' torch archive; the result lists digests and sizes.

    `folder` names the sub-folder of the second copy. `check` may refuse the tensors before anything is written.

    Raises:
        ArtifactError: the source is no plain file, no safetensors, or `check` refused it.
        OSError: reading or writing failed; what was written may be incomplete.
    """
    (incoming / folder).mkdir(exist_ok=True)
    with _open_plain(source) as reader:
        size = os.fstat(reader.fileno()).st_size
        try:
            start = reader.read(LENGTH_BYTES)
            header = reader.read(header_length(start, size))
            tensors = parse_header(header, size - LENGTH_BYTES - len(header))
            check(tensors)
            sinks: list[_Copy] = [
                _Copy(incoming / WEIGHTS, start + header),
                _Copy(
                    incoming / folder / WEIGHTS, start + header, hashing=False
                ),  # the bytes that the first one hashes
                _Torch(incoming / TORCH_WEIGHTS, TorchArchive(tensors)),
            ]
        except ArtifactError as error:
            raise ArtifactError(f"{WEIGHTS} cannot be used: {error}") from error
        _fan_out(reader, sinks)
    first, _, torch = (sink.result() for sink in sinks)
    return {WEIGHTS: first, f"{folder}/{WEIGHTS}": first, TORCH_WEIGHTS: torch}


def _open_plain(source: Path) -> FileIO:
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArtifactError(f"there is no file {source.name} in its staging") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ArtifactError(f"there is no file {source.name} in its staging")
    return os.fdopen(handle, "rb", buffering=0)


class _Copy:
    """A file that is being written, beginning with `start`; its bytes are hashed where `hashing`."""

    def __init__(self, path: Path, start: bytes, *, hashing: bool = True) -> None:
        self._file = path.open("xb", buffering=0)
        self._hasher = hashlib.sha256() if hashing else None
        self._size = self._unsynced = 0
        self._put(start)

    def _put(self, data: bytes | memoryview) -> None:
        if self._hasher:
            self._hasher.update(data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._unsynced += len(data)
        if self._unsynced >= _SYNC:  # else the disk stands idle until the end, and then we do
            os.fdatasync(self._file.fileno())
            self._unsynced = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the tensors' data."""
        self._put(chunk)

    def finish(self) -> None:
        """Make the file's bytes durable."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def result(self) -> tuple[str, int]:
        """(`sha256:...`, size in bytes)."""
        return PREFIX + (self._hasher.hexdigest() if self._hasher else ""), self._size


class _Torch(_Copy):
    """The torch archive of the same tensors."""

    def __init__(self, path: Path, archive: TorchArchive) -> None:
        self._archive = archive
        super().__init__(path, archive.start())

    def write(self, chunk: bytes) -> None:
        for piece in self._archive.feed(memoryview(chunk)):
            self._put(piece)

    def finish(self) -> None:
        self._put(self._archive.finish())
        super().finish()


def _fan_out(reader: FileIO, sinks: list[_Copy]) -> None:
    """Give every sink all that is left in the reader; each writes, hashes and syncs in a thread of its own."""
    queues: list[Queue[bytes | None]] = [Queue(_AHEAD) for _ in sinks]
    with ThreadPoolExecutor(len(sinks)) as pool:
        waiting = [pool.submit(_drain, sink, queue) for sink, queue in zip(sinks, queues, strict=True)]
        try:
            while chunk := reader.read(_CHUNK):
                for queue in queues:
                    queue.put(chunk)
        finally:
            for queue in queues:
                queue.put(None)
    for future in waiting:
        future.result()


def _drain(sink: _Copy, queue: Queue[bytes | None]) -> None:
    """Write all chunks and sync. After an error the rest is thrown away, for the reader must never wait for ever."""
    failed: OSError | ArtifactError | None = None
    while (chunk := queue.get()) is not None:
        if failed is None:
            try:
                sink.write(chunk)
            except (OSError, IndexError) as error:
                failed = error if isinstance(error, OSError) else ArtifactError(f"{WEIGHTS} grew while it was read")
    try:
        if failed is not None:
            raise failed
        sink.finish()
    finally:
        sink.close()
