"""The header of a safetensors file: is it one, and which tensors are in it? Pure, over bytes.

Whoever accepts weights (base import, certification) checks them with this, without torch and without loading them:
a file that passes has every byte of its data accounted for by exactly one tensor.
Layout: 8 bytes little-endian header length, a JSON object of that length, the tensors' data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oneseek_core.errors import ArtifactError

__all__ = ["LENGTH_BYTES", "TensorInfo", "header_length", "parse_header"]

LENGTH_BYTES = 8
_LARGEST = 100_000_000  # bytes; the format's own bound on the header

_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its type's code, its shape, and where its bytes lie within the data (end exclusive)."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def header_length(start: bytes, file_size: int) -> int:
    """Length of the JSON header in bytes, from the file's first 8 bytes.

    Raises:
        ArtifactError: the file is too short, or the length is impossible.
    """
    if len(start) < LENGTH_BYTES:
        raise ArtifactError(f"it holds {file_size} bytes, too few for a safetensors file")
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length < 2 or length > min(_LARGEST, file_size - LENGTH_BYTES):
        raise ArtifactError(
            f"its header claims {length} bytes in a file of {file_size}: it is cut short or no safetensors file"
        )
    return length


def parse_header(header: bytes, data_size: int) -> Mapping[str, TensorInfo]:
    """The tensors by name. `data_size` is the number of bytes after the header.

    Raises:
        ArtifactError: no JSON object of tensors; or tensors that overlap, leave gaps, reach beyond the data or have
            not the size their shape asks for.
    """
    try:
        value = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise ArtifactError("its header is no JSON: it is damaged or no safetensors file") from error
    if not isinstance(value, dict):
        raise ArtifactError("its header is no JSON object: it is damaged or no safetensors file")
    tensors = {name: _tensor(name, entry) for name, entry in value.items() if name != "__metadata__"}
    position = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != position:
            raise ArtifactError(f"tensor {name} begins at byte {tensor.begin} where {position} was expected")
        position = tensor.end
    if position != data_size:
        raise ArtifactError(f"its tensors take {position} bytes but {data_size} follow the header: it is cut or padded")
    return tensors


def _tensor(name: str, entry: Any) -> TensorInfo:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise ArtifactError(f"tensor {name} lacks dtype, shape or data_offsets") from error
    if not isinstance(shape, list) or not all(_is_size(number) for number in (*shape, begin, end)):
        raise ArtifactError(f"tensor {name} has a shape or offsets that are no whole numbers")
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise ArtifactError(f"tensor {name} has the unknown type {dtype!r}")
    bits = math.prod(shape) * _BITS[dtype]
    if bits % 8 or end - begin != bits // 8:
        raise ArtifactError(f"tensor {name} takes {end - begin} bytes, but {dtype}{shape} takes {bits / 8:g}")
    return TensorInfo(dtype, tuple(shape), begin, end)


def _is_size(value: object) -> bool:
    # bool is an int to Python, and `true` is no size
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
