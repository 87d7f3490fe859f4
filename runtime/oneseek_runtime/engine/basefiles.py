"""[I/O] A base model's own files, proved by the manifest of its import while they are read: what was hashed is what is used.

The claim has other writers than OneSeek, and a file that was verified may be another one by the time it is loaded; a file
that is mapped into memory even changes under a model that answers. So nothing is used from where it lies. The small files
are copied to a folder of the process's own, and the weights read once, tensor by tensor, into memory of its own
(`own_files`, `read_weights`): no second read, no second copy on a disk, one tensor more in memory than the model takes.
Without a digest (an operator of the release before, or the import itself) the same is read and compared with nothing.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import torch

from oneseek_core import names
from oneseek_core.digest import PREFIX, digest_bytes
from oneseek_core.errors import ArtifactError
from oneseek_core.safetensors_header import LENGTH_BYTES, TensorInfo, header_length, parse_header
from oneseek_runtime.basemodel.folder import adapter_files, is_small, wanted_files, weight_files
from oneseek_runtime.verify.manifest import parse_manifest
from oneseek_runtime.verify.refusal import RefusedError

__all__ = ["BaseChangedError", "UnusableBaseError", "own_files", "read_weights"]

_CHUNK = 4 * 1024 * 1024  # bytes; hashed while they are still in the processor's cache
_READERS = 4  # files at a time: one hashes as fast as a disk reads
_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
Table = Mapping[str, tuple[str, int]]


class UnusableBaseError(ArtifactError):
    """The files are no model that can be trained and served; the sentence says why and what to do."""


class BaseChangedError(UnusableBaseError):
    """The files are not those that were imported."""


@contextmanager
def own_files(folder: Path, digest: str | None = None) -> Iterator[Path]:
    """A folder with copies of the base model's small files, links to its weights, and the manifest if there is a digest.

    Raises:
        UnusableBaseError: there is no such folder.
        BaseChangedError: it is not the base model of that digest; weights are compared when they are read.
    """
    if not folder.is_dir():
        raise UnusableBaseError(f"there is no folder {folder}")
    found = [path.name for path in folder.iterdir() if path.is_file()]
    own = wanted_files(found)
    manifest = _read_manifest(folder, digest) if digest is not None else None
    table = _table(manifest, [*own, *adapter_files(found)]) if manifest is not None else None
    with tempfile.TemporaryDirectory(prefix="base-") as name:
        target = Path(name)
        for file in own:
            if is_small(file):
                (target / file).write_bytes(_small(folder / file, table))
            else:
                (target / file).symlink_to((folder / file).absolute())
        if manifest is not None:
            (target / names.BASE_MANIFEST).write_bytes(manifest)
        yield target


def _read_manifest(folder: Path, digest: str) -> bytes:
    try:
        data = (folder / names.BASE_MANIFEST).read_bytes()
    except OSError as error:
        raise BaseChangedError(f"there is no {names.BASE_MANIFEST}, which its import left") from error
    if (there := digest_bytes(data)) != digest:
        raise BaseChangedError(f"it is the base model {there}, but {digest} was imported")
    return data


def _table(manifest: bytes, found: Sequence[str]) -> Table:
    """What was imported, which must be all that is there."""
    try:
        table = parse_manifest(manifest, None, names.BASE_MANIFEST)
    except RefusedError as error:
        raise BaseChangedError(error.message) from error
    if unknown := sorted(set(found) - set(table)):
        raise BaseChangedError(f"{unknown[0]} lies in it and was not imported with it")
    if missing := sorted(set(table) - set(found)):
        raise BaseChangedError(f"{missing[0]} was imported and is missing")
    return table


def _small(path: Path, table: Table | None) -> bytes:
    data = path.read_bytes()
    if table is not None and digest_bytes(data) != table[path.name][0]:
        raise _changed(path.name)
    return data


def _changed(name: str) -> BaseChangedError:
    return BaseChangedError(f"{name} does not hold the bytes that were imported")


def read_weights(files: Path, extra: Sequence[str], dtype: torch.dtype | None) -> dict[str, torch.Tensor]:
    """Every tensor of the base model in a folder that `own_files` made; floats in `dtype`, unless that is None.

    `extra`: files of weights beside those that the index names, where they are there.

    Raises:
        UnusableBaseError: a file is no safetensors file, or has a type that no base model has.
        BaseChangedError: a file does not hold what was imported.
    """
    present = [path.name for path in files.iterdir()]
    wanted = [*weight_files(files, present), *(name for name in extra if name in present)]
    manifest = files / names.BASE_MANIFEST
    table = parse_manifest(manifest.read_bytes(), None, names.BASE_MANIFEST) if manifest.exists() else None
    with ThreadPoolExecutor(_READERS) as pool:
        digests = {name: table[name][0] if table else None for name in wanted}
        parts = list(pool.map(lambda name: _read(files / name, digests[name], dtype), wanted))
    return {name: tensor for part in parts for name, tensor in part.items()}


def _read(path: Path, digest: str | None, dtype: torch.dtype | None) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    with path.open("rb", buffering=0) as file:
        reader = _Hashing(file)
        size = os.fstat(file.fileno()).st_size
        start = reader.read(LENGTH_BYTES)
        header = reader.read(header_length(start, size))
        tensors = parse_header(header, size - LENGTH_BYTES - len(header))
        for name, info in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
            tensor = _tensor(reader, name, info)
            found[name] = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
        if digest is not None and reader.digest() != digest:
            raise _changed(path.name)
    return found


def _tensor(reader: _Hashing, name: str, info: TensorInfo) -> torch.Tensor:
    kind = _TYPES.get(info.dtype)
    if kind is None:
        raise UnusableBaseError(f"the tensor {name} is of the type {info.dtype}: use weights in fp32, fp16 or bf16")
    data = torch.empty(info.end - info.begin, dtype=torch.uint8)
    reader.fill(memoryview(data.numpy()))  # type: ignore[arg-type]  # an array is one
    return data.view(kind).view(info.shape)


class _Hashing:
    """A file that is read once, front to back."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._hasher = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        self.fill(memoryview(data))
        return bytes(data)

    def fill(self, view: memoryview) -> None:
        """Fill the memory with the next bytes.

        Raises:
            BaseChangedError: the file ends before.
        """
        while view:
            count = self._file.readinto(view[:_CHUNK])
            if not count:
                raise BaseChangedError("a file of weights was cut while it was read")
            self._hasher.update(view[:count])
            view = view[count:]

    def digest(self) -> str:
        """Of what was read, which is the whole file: the tensors leave no gap."""
        return PREFIX + self._hasher.hexdigest()
