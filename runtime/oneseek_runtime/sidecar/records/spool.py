"""[I/O] Entries on the pod's own volume until the records service has them.

An entry is written (one `write`, no fsync) before its answer is sent, so a killed process loses none. `sync` protects against power
loss, in batches and off the request path. Entries are appended to segment files; a segment is deleted when all its entries are
acknowledged. The acknowledged position is in one small file, written in place: an old position only causes entries to be sent
again, which are recorded once.

The size is bounded. With a full spool or volume answers go on; entries that are not stored, refused or damaged are counted in `lost`.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oneseek_core.files import fsync_dir
from oneseek_runtime.sidecar.records.lines import entry_line, parse_entry, parse_state, state_line

__all__ = ["Batch", "Spool"]

_SUFFIX = ".spool"
_STATE = "state"
_SEGMENT_BYTES = 4 * 1024 * 1024
_BATCH_ENTRIES = 250
_BATCH_BYTES = 512 * 1024  # read at once; one entry may be larger
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(slots=True)
class _Segment:
    """Entries `first`, `first` + 1, … in one file; `size` bytes of it are complete lines."""

    path: Path
    first: int
    entries: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest entries, all of one kind. `damaged` lines among them are counted and skipped."""

    kind: str
    bodies: tuple[bytes, ...]
    damaged: int
    size: int

    @property
    def entries(self) -> int:
        """The number of lines."""
        return len(self.bodies) + self.damaged


class Spool:
    """The entries in one folder. Used by one thread, except `sync`. Made by `open`."""

    def __init__(self, folder: Path, limit: int, segment_bytes: int) -> None:
        self._folder, self._limit, self._segment_bytes = folder, limit, segment_bytes
        self._segments: deque[_Segment] = deque()
        self._offset = 0  # in the oldest segment: where the first entry begins that is not acknowledged
        self._passed = 0  # entries before it in that segment
        self._bytes = 0
        self._writing: int | None = None  # descriptor of the newest segment
        self._unsynced: list[int] = []  # descriptors of earlier ones
        self._state: int | None = None
        self.appended = 0  # the number of the next entry
        self.spooled = 0  # entries that are not acknowledged
        self.lost = 0  # entries that will never be recorded

    @classmethod
    def open(cls, folder: Path, *, limit: int, segment_bytes: int = _SEGMENT_BYTES) -> Spool:
        """Opens the folder with the entries of an earlier process; needs no space on the volume. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        spool = cls(folder, limit, segment_bytes)
        spool._load()
        return spool

    def _load(self) -> None:
        try:
            state = parse_state((self._folder / _STATE).read_bytes())
        except FileNotFoundError:
            state = None
        acknowledged, self.lost = state or (0, 0)
        for path in sorted(self._folder.glob(f"{'[0-9]' * 20}{_SUFFIX}")):
            segment = _Segment(path, int(path.stem))
            data = path.read_bytes()
            segment.size = data.rfind(b"\n") + 1
            segment.entries = data.count(b"\n")
            if segment.size < len(data):  # a partial line, after a power loss or on a full volume
                os.truncate(path, segment.size)
                self.lost += 1
            last = segment.first + segment.entries
            if last <= acknowledged or not segment.entries:
                path.unlink()
                continue
            if segment.first < acknowledged:
                self._passed = acknowledged - segment.first
                for _ in range(self._passed):
                    self._offset = data.index(b"\n", self._offset) + 1
            self._segments.append(segment)
            self._bytes += segment.size
            self.spooled += segment.entries
            self.appended = last
        self.spooled -= self._passed
        # Entries that were acknowledged but never reached the disk keep their numbers.
        self.appended = max(self.appended, acknowledged)

    @property
    def acknowledged(self) -> int:
        """The number of the oldest entry that is neither recorded nor lost."""
        return self._segments[0].first + self._passed if self._segments else self.appended

    def append(self, kind: str, body: bytes) -> bool:
        """Store an entry; False, and counted as lost, without space."""
        line = entry_line(kind, body)
        try:
            if self._bytes + len(line) <= self._limit and self._write(line):
                return True
        except OSError:
            pass  # a full or broken volume must not cost anybody an answer
        self.lost += 1
        self._save()
        return False

    def _write(self, line: bytes) -> bool:
        handle = self._writing
        if handle is None or self._segments[-1].size >= self._segment_bytes:
            handle = self._new_segment()
        segment = self._segments[-1]
        try:
            whole = os.write(handle, line) == len(line)
        except OSError:
            whole = False
        if not whole:
            self._take_back(handle, segment)
            return False
        segment.entries += 1
        segment.size += len(line)
        self._bytes += len(line)
        self.spooled += 1
        self.appended += 1
        return True

    def _take_back(self, handle: int, segment: _Segment) -> None:
        """Cut off a partial line; if that fails continue in another file."""
        try:
            os.ftruncate(handle, segment.size)
        except OSError:
            self._retire()

    def _retire(self) -> None:
        if self._writing is not None:
            self._unsynced.append(self._writing)
            self._writing = None

    def _new_segment(self) -> int:
        path = self._folder / f"{self.appended:020d}{_SUFFIX}"
        # Truncated if it exists: it holds no complete entry, else the number would be taken.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _FLAGS, 0o600)
        self._retire()
        self._writing = handle
        if self._segments and not self._segments[-1].entries:
            self._segments.pop()
        self._segments.append(_Segment(path, self.appended))
        return handle

    def batch(self) -> Batch | None:
        """Returns the oldest entries, the same until they are acknowledged; None if there are none. Raises OSError."""
        self._drop_passed()
        if not self.spooled:
            return None
        segment = self._segments[0]
        left = segment.size - self._offset
        room = min(_BATCH_BYTES, left)
        data = _read(segment.path, self._offset, room)
        while (end := data.rfind(b"\n") + 1) == 0:
            if room == left:  # the file was truncated
                return Batch("", (), segment.entries - self._passed, left)
            room = min(2 * room, left)
            data = _read(segment.path, self._offset, room)
        kind, bodies, damaged, size = "", [], 0, 0
        for line in data[:end].split(b"\n")[:-1][:_BATCH_ENTRIES]:
            entry = parse_entry(line)
            if entry is None:
                damaged += 1
            elif kind in ("", entry[0]):
                kind = entry[0]
                bodies.append(entry[1])
            else:
                break
            size += len(line) + 1
        return Batch(kind, tuple(bodies), damaged, size)

    def acknowledge(self, batch: Batch, *, refused: int = 0) -> None:
        """Remove a batch, of which `refused` entries are lost."""
        self._offset += batch.size
        self._passed += batch.entries
        self.spooled -= batch.entries
        self.lost += batch.damaged + refused
        self._save()  # before a file is deleted: an old state must refer to an existing file or to a newer one
        self._drop_passed()

    def _drop_passed(self) -> None:
        """Delete segments that are acknowledged and full."""
        while self._segments and self._offset >= self._segments[0].size:
            growing = self._writing is not None and len(self._segments) == 1
            if growing and self._segments[0].size < self._segment_bytes:
                return
            if growing:
                self._retire()
            segment = self._segments.popleft()
            with suppress(OSError):  # the next process deletes it
                segment.path.unlink(missing_ok=True)
            self._bytes -= segment.size
            self._offset = self._passed = 0

    def _save(self) -> None:
        """Write the state in place; a failure only causes entries to be sent again or miscounted."""
        try:
            if self._state is None:
                self._state = os.open(self._folder / _STATE, os.O_WRONLY | os.O_CREAT | _FLAGS, 0o600)
            os.pwrite(self._state, state_line(self.acknowledged, self.lost), 0)
        except OSError:
            return

    def sync(self) -> None:
        """Make written entries durable. For another thread, one call at a time. Raises OSError."""
        earlier = [self._unsynced.pop(0) for _ in range(len(self._unsynced))]
        newest = self._writing
        handles = [*earlier, *([] if newest is None else [os.dup(newest)])]
        try:
            for handle in handles:
                os.fsync(handle)
            fsync_dir(self._folder)
        finally:
            for handle in handles:
                os.close(handle)

    def close(self) -> None:
        """Close the files."""
        for handle in (*self._unsynced, self._writing, self._state):
            if handle is not None:
                os.close(handle)
        self._unsynced, self._writing, self._state = [], None, None


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as handle:
        handle.seek(offset)
        return handle.read(size)
