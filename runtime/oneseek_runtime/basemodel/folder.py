"""What a base model's folder must hold, and which of a source's files belong to it.

Only what the engine and the trainer load: weights as safetensors, JSON, the tokenizer's files, licences. Never
pickles (`.bin`, `.pt`), never code, nothing from sub-folders (other formats lie there: `onnx/`, `original/`).
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

__all__ = ["check_model", "wanted_files"]

_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
_WANTED = ("*.safetensors", "*.json", "*.jinja", "merges.txt", "LICENSE*", "NOTICE*", *_TOKENIZER)
# Mistral's own format of the same weights, beside those that transformers reads: as large again, for nothing.
_UNWANTED = (".*", "consolidated*.safetensors", names.BASE_MANIFEST)
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


def check_model(folder: Path, files: Iterable[str]) -> None:
    """Make sure that `files` of the folder are a model that can be loaded without running its code.

    Raises:
        ArtifactError: they are not; the sentence names the file.
    """
    present = set(files)
    _check_config(folder, present)
    weights = sorted(name for name in present if name.endswith(".safetensors"))
    if not weights:
        raise ArtifactError(
            "there is no *.safetensors file; pickled weights (.bin, .pt) are never loaded: convert them"
        )
    for name in weights:
        try:
            read_tensors(folder / name)
        except ArtifactError as error:
            raise ArtifactError(f"{name} cannot be used: {error}; fetch it again") from error
    _check_index(folder, present)
    if not present.intersection(_TOKENIZER):
        raise ArtifactError(f"there is no tokenizer file (one of {', '.join(_TOKENIZER)})")


def _check_config(folder: Path, present: set[str]) -> None:
    if "config.json" not in present:
        raise ArtifactError("there is no config.json; the folder must be one that transformers can load")
    if not _object(folder, "config.json").get("model_type"):
        raise ArtifactError("config.json has no model_type, so it is unknown what kind of model it is")
    for name in ("config.json", "tokenizer_config.json"):
        if name in present and "auto_map" in _object(folder, name):
            raise ArtifactError(
                f"{name} has auto_map: the model brings its own Python code, which is never run; use a model that"
                " transformers knows itself"
            )


def _check_index(folder: Path, present: set[str]) -> None:
    """A model in several files: every file that its index names must be there."""
    if _INDEX not in present:
        return
    shards = _object(folder, _INDEX).get("weight_map")
    if not isinstance(shards, dict):
        raise ArtifactError(f"{_INDEX} has no weight_map")
    for shard in sorted({str(shard) for shard in shards.values()} - present):
        raise ArtifactError(f"{_INDEX} names {shard}, which is missing; fetch the model again")


def _object(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{name} is no JSON object")
    return value
