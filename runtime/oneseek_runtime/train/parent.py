"""[I/O] The certified version that a Micro run goes on from, read once and proved to be what was certified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import LoraSettings
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode
from oneseek_runtime.train.weights import ADAPTER_CONFIG, ADAPTER_WEIGHTS

__all__ = ["Parent", "read_parent"]


@dataclass(frozen=True, slots=True)
class Parent:
    """Its LoRA's settings, and its weights under PEFT's names."""

    lora: LoraSettings
    weights: Mapping[str, Tensor]


def read_parent(folder: Path, digest: str | None) -> Parent:
    """Read the adapter in a certified folder whose manifest has the digest.

    Raises:
        JobError: ArtifactInvalid; it is not the version that was certified, or no LoRA of ours.
    """
    try:
        manifest = (folder / names.MANIFEST).read_bytes()
        listed = {row["path"]: row["digest"] for row in json.loads(manifest)["files"]}
        files = {name: (folder / name).read_bytes() for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refused("its manifest, configuration or weights cannot be read") from error
    if digest is not None and digest_bytes(manifest) != digest:
        raise _refused(f"{names.MANIFEST} is not the one that was certified")
    for name, data in files.items():
        if digest_bytes(data) != listed.get(name):
            raise _refused(f"{name} does not hold the bytes that were certified")
    try:
        config = json.loads(files[ADAPTER_CONFIG])
        settings = LoraSettings(
            rank=config["r"],
            alpha=config["lora_alpha"],
            dropout=config["lora_dropout"],
            target_modules=sorted(config["target_modules"]),
        )
        return Parent(settings, load(files[ADAPTER_WEIGHTS]))
    except (KeyError, TypeError, ValueError, ValidationError, SafetensorError) as error:
        raise _refused("it is no LoRA that can be continued") from error


def _refused(why: str) -> JobError:
    return JobError(names.ARTIFACT_INVALID, f"the parent version cannot be gone on from: {why}", ExitCode.BAD_ARTIFACT)
