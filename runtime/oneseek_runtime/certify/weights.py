"""[I/O] The weights on their way into the folder: one read, one thread a copy, each copy hashed as it is written.

The header is checked before anything is written, from the same open file: nobody can swap it in between.
A few blocks go round between the reader and the writers, small enough together to stay in the processor's cache; one
more thread pushes what was written to the disk meanwhile, so that little is left to wait for at the end.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from oneseek_core.digest import PREFIX
from oneseek_core.errors import ArtifactError
from oneseek_core.safetensors_header import LENGTH_BYTES, TensorInfo, header_length, parse_header
from oneseek_runtime.artifact.layout import TORCH_WEIGHTS, WEIGHTS
from oneseek_runtime.certify.torch_zip import TorchArchive

__all__ = ["copy_weights"]

_CHUNK = 1024 * 1024  # bytes
_BLOCKS = 8  # how far the reader may be ahead of the slowest writer
_WRITE = 256 * 1024  # bytes; for larger ones the kernel looks for memory in large pieces, which a virtual machine lacks
_SYNC = 64 * 1024 * 1024  # bytes of a file after which they are pushed to the disk, while others are hashed
FileTable = dict[str, tuple[str, int]]


def copy_weights(
    source: Path, incoming: Path, folder: str | None, check: Callable[[Mapping[str, TensorInfo]], None]
) -> FileTable:
    """Write the weights as safetensors and, for old readers, once more in `folder` and as torch archive.

    The result lists digests and sizes. Without `folder` old readers get nothing. `check` may refuse the tensors before anything is written.

    Raises:
        ArtifactError: the source is no plain file, no safetensors, or `check` refused it.
        OSError: reading or writing failed; what was written may be incomplete.
    """
    with _open_plain(source) as reader:
        size = os.fstat(reader.fileno()).st_size
        try:
            start = reader.read(LENGTH_BYTES)
            header = reader.read(header_length(start, size))
            tensors = parse_header(header, size - LENGTH_BYTES - len(header))
            check(tensors)
            archive = TorchArchive(tensors)  # refuses types that no adapter has, whether it is written or not
        except ArtifactError as error:
            raise ArtifactError(f"{WEIGHTS} cannot be used: {error}") from error
        first = _Copy(incoming / WEIGHTS, start + header)
        sinks = {WEIGHTS: first}
        if folder is not None:
            (incoming / folder).mkdir()
            # The bytes are those that the first one hashes.
            sinks[f"{folder}/{WEIGHTS}"] = _Copy(incoming / folder / WEIGHTS, start + header, hashing=False)
            sinks[TORCH_WEIGHTS] = _Torch(incoming / TORCH_WEIGHTS, archive)
        _fan_out(reader, list(sinks.values()))
    return {path: (sink if sink.is_hashing else first).result() for path, sink in sinks.items()}


def _open_plain(source: Path) -> FileIO:
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArtifactError(f"there is no file {source.name} in its staging") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ArtifactError(f"there is no file {source.name} in its staging")
    return os.fdopen(handle, "rb", buffering=0)


class _Block:
    """A buffer that goes from the reader to every sink and back; the last sink that is done with it returns it."""

    def __init__(self, readers: int) -> None:
        self._whole = memoryview(bytearray(_CHUNK))
        self._readers = readers
        self._left = 0
        self._lock = Lock()
        self.data = self._whole[:0]

    def fill(self, file: FileIO) -> int:
        """Read into the block what fits; the number of bytes, 0 at the file's end."""
        count = file.readinto(self._whole)
        self.data, self._left = self._whole[:count], self._readers
        return count

    def done(self) -> bool:
        """One sink has used it; True for the last of them."""
        with self._lock:
            self._left -= 1
            return not self._left


class _Copy:
    """A file that is being written, beginning with `start`; its bytes are hashed where `hashing`."""

    def __init__(self, path: Path, start: bytes, *, hashing: bool = True) -> None:
        self._file = path.open("xb", buffering=0)
        self._hasher = hashlib.sha256() if hashing else None
        self._size = self._pushed = 0
        self._put(start)

    def _put(self, data: bytes | memoryview) -> None:
        if self._hasher:
            self._hasher.update(data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view[:_WRITE]) :]

    @property
    def is_hashing(self) -> bool:
        """Whether it knows its digest."""
        return self._hasher is not None

    def write(self, chunk: memoryview) -> None:
        """Take the next bytes of the tensors' data."""
        self._put(chunk)

    def is_behind(self) -> bool:
        """Whether so much was written since this was last True that it should be pushed to the disk."""
        behind = self._size - self._pushed >= _SYNC
        if behind:
            self._pushed = self._size
        return behind

    def push(self) -> None:
        """Have the disk take what was written, and wait for it; not in the thread that writes."""
        os.fdatasync(self._file.fileno())

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

    def write(self, chunk: memoryview) -> None:
        for piece in self._archive.feed(chunk):
            self._put(piece)

    def finish(self) -> None:
        self._put(self._archive.finish())
        super().finish()


def _fan_out(reader: FileIO, sinks: Sequence[_Copy]) -> None:
    """Give every sink all that is left in the reader; each writes, hashes and syncs in a thread of its own."""
    free: SimpleQueue[_Block] = SimpleQueue()
    for _ in range(_BLOCKS):
        free.put(_Block(len(sinks)))
    queues: list[SimpleQueue[_Block | None]] = [SimpleQueue() for _ in sinks]
    behind: SimpleQueue[_Copy | None] = SimpleQueue()
    try:
        with ThreadPoolExecutor(len(sinks) + 1) as pool:
            pushing = pool.submit(_push, behind)
            writing = [
                pool.submit(_drain, sink, queue, free, behind) for sink, queue in zip(sinks, queues, strict=True)
            ]
            try:
                while (block := free.get()).fill(reader):
                    for queue in queues:
                        queue.put(block)
            finally:
                for queue in queues:
                    queue.put(None)
                behind.put(None)
        for future in (*writing, pushing):
            future.result()
    finally:
        for sink in sinks:
            sink.close()


def _push(behind: SimpleQueue[_Copy | None]) -> None:
    """Keep the disk busy. What it reports here it may not report to the final fsync, so it must be raised."""
    while (sink := behind.get()) is not None:
        sink.push()


def _drain(
    sink: _Copy, queue: SimpleQueue[_Block | None], free: SimpleQueue[_Block], behind: SimpleQueue[_Copy | None]
) -> None:
    """Write all blocks and sync. After an error the rest is thrown away, for the reader must never wait for ever."""
    failed: OSError | ArtifactError | None = None
    while (block := queue.get()) is not None:
        if failed is None:
            try:
                sink.write(block.data)
                if sink.is_behind():
                    behind.put(sink)
            except (OSError, IndexError) as error:
                failed = error if isinstance(error, OSError) else ArtifactError(f"{WEIGHTS} grew while it was read")
        if block.done():
            free.put(block)
    if failed is not None:
        raise failed
    sink.finish()
