"""adapter_model.bin without torch: the zip archive with a pickle in it that `torch.load` reads. Pure, over bytes.

Written for old readers, read by nobody here. The bytes follow from the tensors alone (no times, no host), and come in
the order in which they are written, so that the weights pass through memory once: entries are stored, their check sums
follow their data. Tensors stand in the order of their bytes in the safetensors file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from oneseek_core.errors import ArtifactError
from oneseek_core.safetensors_header import TensorInfo

__all__ = ["TorchArchive", "pickle_of"]

_STORAGES = {"F64": "Double", "F32": "Float", "F16": "Half", "BF16": "BFloat16"}
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_ALIGNMENT = 64  # bytes; torch maps storages into memory at this
_FLAGS = 0x0808  # check sum and size follow the data; names are UTF-8
_DATE = 0x0021  # 1980-01-01, the first a zip can name
_FULL = 0xFFFFFFFF


def ordered(tensors: Mapping[str, TensorInfo]) -> list[tuple[str, TensorInfo]]:
    """The tensors by where their bytes lie."""
    return sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end, item[0]))


def pickle_of(tensors: Mapping[str, TensorInfo]) -> bytes:
    """The pickle of `{name: tensor}` whose storages are the entries `data/0`, `data/1`, ...

    Raises:
        ArtifactError: a tensor has a type that no adapter has.
    """
    body = b"".join(_text(name) + _tensor(index, name, tensor) for index, (name, tensor) in enumerate(ordered(tensors)))
    return b"\x80\x02}(" + body + b"u."


def _tensor(index: int, name: str, tensor: TensorInfo) -> bytes:
    if tensor.dtype not in _STORAGES:
        raise ArtifactError(f"tensor {name} has the type {tensor.dtype}; adapters are {', '.join(_STORAGES)}")
    count = (tensor.end - tensor.begin) // _BYTES[tensor.dtype]
    strides: list[int] = []
    step = 1
    for size in reversed(tensor.shape):
        strides.insert(0, step)
        step *= max(size, 1)
    storage = f"ctorch\n{_STORAGES[tensor.dtype]}Storage\n".encode()
    key = b"(" + _text("storage") + storage + _text(str(index)) + _text("cpu") + _number(count) + b"tQ"
    hooks = b"\x89ccollections\nOrderedDict\n)R"  # requires_grad False; backward hooks: none
    shape, stride = _numbers(tensor.shape), _numbers(strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + key + _number(0) + shape + stride + hooks + b"tR"


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(number: int) -> bytes:
    if number < 2**31:
        return b"J" + struct.pack("<i", number)
    data = number.to_bytes((number.bit_length() + 8) // 8, "little")
    return b"\x8a" + bytes([len(data)]) + data


def _numbers(numbers: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(map(_number, numbers)) + b"t"


@dataclass(slots=True)
class _Entry:
    name: bytes
    offset: int
    crc: int = 0
    size: int = 0


class TorchArchive:
    """The archive's bytes, piece by piece: `start`, for each tensor's data `feed` in file order, `finish`."""

    def __init__(self, tensors: Mapping[str, TensorInfo]) -> None:
        self._pickle = pickle_of(tensors)
        self._sizes = [tensor.end - tensor.begin for _, tensor in ordered(tensors)]
        if any(size >= _FULL for size in self._sizes):
            raise ArtifactError("a single tensor of 4 GiB or more cannot stand in adapter_model.bin")
        self._entries: list[_Entry] = []
        self._position = 0
        self._next = 0  # index of the next storage to open
        self._left = 0  # bytes that the open storage still lacks

    def start(self) -> bytes:
        """What stands before the first tensor's data."""
        return self._whole("data.pkl", self._pickle) + self._whole("byteorder", b"little") + self._open_empty()

    def feed(self, chunk: memoryview) -> list[bytes | memoryview]:
        """The pieces to write for the next bytes of the tensors' data."""
        pieces: list[bytes | memoryview] = []
        while chunk:
            if not self._left:
                pieces.append(self._open(f"data/{self._next}"))
                self._left = self._sizes[self._next]
            part, chunk = chunk[: self._left], chunk[self._left :]
            entry = self._entries[-1]
            entry.crc = zlib.crc32(part, entry.crc)
            entry.size += len(part)
            self._left -= len(part)
            self._position += len(part)
            pieces.append(part)
            if not self._left:
                self._next += 1
                pieces.extend((self._close(), self._open_empty()))
        return pieces

    def finish(self) -> bytes:
        """What stands after the last tensor's data: the version and the list of entries."""
        version = self._whole("version", b"3\n")
        begin = self._position
        rows = b"".join(map(_directory_row, self._entries))
        count, size = len(self._entries), len(rows)
        end = begin + size
        wide = b""
        if end >= _FULL or count >= 0xFFFF:
            wide = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, begin)
            wide += struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
        short = min(count, 0xFFFF)
        tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, short, short, size, min(begin, _FULL), 0)
        return version + rows + wide + tail

    def _open_empty(self) -> bytes:
        """Entries of tensors without bytes: `feed` never sees data for them."""
        whole = b""
        while self._next < len(self._sizes) and not self._sizes[self._next]:
            whole += self._whole(f"data/{self._next}", b"")
            self._next += 1
        return whole

    def _whole(self, name: str, data: bytes) -> bytes:
        head = self._open(name)
        entry = self._entries[-1]
        entry.crc, entry.size = zlib.crc32(data), len(data)
        self._position += len(data)
        return head + data + self._close()

    def _open(self, name: str) -> bytes:
        path = f"archive/{name}".encode()
        self._entries.append(_Entry(path, self._position))
        after = self._position + 30 + len(path) + 4
        padding = b"FB" + struct.pack("<H", -after % _ALIGNMENT) + b"Z" * (-after % _ALIGNMENT)
        head = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 45, _FLAGS, 0, 0, _DATE, 0, 0, 0, len(path), len(padding))
        self._position += len(head) + len(path) + len(padding)
        return head + path + padding

    def _close(self) -> bytes:
        entry = self._entries[-1]
        descriptor = struct.pack("<4sIII", b"PK\x07\x08", entry.crc, entry.size, entry.size)
        self._position += len(descriptor)
        return descriptor


def _directory_row(entry: _Entry) -> bytes:
    wide = struct.pack("<HHQ", 1, 8, entry.offset) if entry.offset >= _FULL else b""
    fixed = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        *(b"PK\x01\x02", 45, 45, _FLAGS, 0, 0, _DATE, entry.crc, entry.size, entry.size),
        *(len(entry.name), len(wide), 0, 0, 0, 0, min(entry.offset, _FULL)),
    )
    return fixed + entry.name + wide
