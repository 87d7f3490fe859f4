"""What a base model's folder must hold, and which of a source's files belong to it.

Only what the engine and the trainer load: weights as safetensors, JSON, the tokenizer's files, licences. Never
pickles (`.bin`, `.pt`), never code, no adapters, nothing from sub-folders (other formats lie there: `onnx/`, `original/`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from oneseek_core import names
from oneseek_core.errors import ArtifactError
from oneseek_core.files import read_tensors

__all__ = ["adapter_files", "check_small_files", "check_weights", "is_small", "wanted_files", "weight_files"]

_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
_ADAPTER = ("adapter_config.json", "adapter_model*.safetensors")
_WANTED = ("*.safetensors", "*.json", "*.jinja", "merges.txt", "LICENSE*", "NOTICE*", *_TOKENIZER)
# Mistral's own format of the same weights, beside those that transformers reads: as large again, for nothing.
# An adapter beside the model is another thing, and not what was asked for: transformers would apply it without a word.
_UNWANTED = (".*", "consolidated*.safetensors", *_ADAPTER, names.BASE_MANIFEST)
_WHOLE = "model.safetensors"
_POINTER = b"version https://git-lfs"
_INDEX = "model.safetensors.index.json"


def wanted_files(found: Iterable[str]) -> list[str]:
    """Those of the paths (relative, POSIX) that belong to a base model, sorted."""
    return sorted(
        path
        for path in found
        if "/" not in path
        and any(fnmatch(path, pattern) for pattern in _WANTED)
        and not any(fnmatch(path, pattern) for pattern in _UNWANTED)
    )


def adapter_files(found: Iterable[str]) -> list[str]:
    """Those of the paths that are an adapter's: no part of the base, and applied by transformers where they lie beside it."""
    return sorted(path for path in found if any(fnmatch(path, pattern) for pattern in _ADAPTER))


def is_small(name: str) -> bool:
    """Whether the file is one of those that say what the weights are."""
    return not name.endswith(".safetensors")


def weight_files(folder: Path, files: Iterable[str]) -> list[str]:
    """The files that transformers loads the weights from.

    Raises:
        ArtifactError: there are none, or the index names one that is missing.
    """
    present = set(files)
    shards = _shards(folder) if _INDEX in present else []
    for shard in shards:
        if shard not in present:
            raise ArtifactError(f"{_INDEX} names {shard}, which is missing; fetch the model again")
    if found := [_WHOLE] if _WHOLE in present else shards:
        return found
    if other := sorted(name for name in present if not is_small(name)):
        raise ArtifactError(f"its weights are in {other[0]}, but neither {_WHOLE} nor {_INDEX} is there: rename it")
    raise ArtifactError("there is no *.safetensors file; pickled weights (.bin, .pt) are never loaded: convert them")


def _shards(folder: Path) -> list[str]:
    """The files that the index names."""
    shards = _object(folder, _INDEX).get("weight_map")
    if not isinstance(shards, dict):
        raise ArtifactError(f"{_INDEX} has no weight_map")
    return sorted({str(shard) for shard in shards.values()})


def check_small_files(folder: Path, files: Iterable[str]) -> None:
    """Make sure that the files that say what the model is are there.

    Raises:
        ArtifactError: one is not; the sentence names it.
    """
    present = set(files)
    for name in sorted(filter(is_small, present)):
        _refuse_pointer(folder, name)
    if "config.json" not in present:
        raise ArtifactError("there is no config.json; the folder must be one that transformers can load")
    if not _object(folder, "config.json").get("model_type"):
        raise ArtifactError("config.json has no model_type, so it is unknown what kind of model it is")
    if not present.intersection(_TOKENIZER):
        raise ArtifactError(f"there is no tokenizer file (one of {', '.join(_TOKENIZER)})")


def check_weights(folder: Path, files: Iterable[str]) -> None:
    """Make sure that the weights are whole.

    Raises:
        ArtifactError: they are not; the sentence names the file.
    """
    for name in weight_files(folder, files):
        _refuse_pointer(folder, name)
        try:
            read_tensors(folder / name)
        except ArtifactError as error:
            raise ArtifactError(f"{name} cannot be used: {error}; fetch it again") from error


def _refuse_pointer(folder: Path, name: str) -> None:
    with (folder / name).open("rb") as handle:
        if handle.read(len(_POINTER)) == _POINTER:
            raise ArtifactError(
                f"{name} is git-lfs's pointer to the file, not the file: run `git lfs pull` where the model was cloned"
            )


def _object(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name} is no JSON; fetch it again") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{name} is no JSON object")
    return value
