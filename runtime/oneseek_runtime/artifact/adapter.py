"""Checks an adapter's configuration, weights header and training report against the certify request. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError

from oneseek_core.digest import digest_bytes
from oneseek_core.errors import ArtifactError, places
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_core.jobs.train import TrainReport
from oneseek_core.safetensors_header import TensorInfo
from oneseek_runtime.artifact.adapter_config import AdapterConfig, parse_config
from oneseek_runtime.artifact.layout import CONFIG, REPORT

__all__ = ["RankError", "check_config", "check_tensors", "parse_report"]

_LORA = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[A-Za-z0-9_]+)?\.weight")
_ROOT = "base_model.model."  # peft's own name for the model that it wraps


class RankError(ArtifactError):
    """A tensor's rank differs from the configuration."""


def check_config(data: bytes, request: CertifyRequest) -> AdapterConfig:
    """Checks that adapter_config.json describes the requested LoRA; returns the configuration to certify.

    It is written from the request. Only what follows from the base model is taken from the file: whether its matrices are stored
    transposed, and which towers were excluded. Raises ArtifactError.
    """
    found, lora = parse_config(data), request.lora
    for key, there, wanted in (
        ("r", found.rank, lora.rank),
        ("lora_alpha", found.alpha, lora.alpha),
        ("target_modules", list(found.targets), sorted(lora.target_modules)),
    ):
        if there != wanted:
            raise ArtifactError(f"{CONFIG} has {key} {there!r}, but the run asked for {wanted!r}")
    return replace(found, base=request.base_name, dropout=lora.dropout)


def check_tensors(tensors: Mapping[str, TensorInfo], config: AdapterConfig) -> None:
    """Checks that the weights are LoRA pairs of the configured rank and layers, and nothing else.

    Raises RankError or ArtifactError.
    """
    sides: dict[str, set[str]] = {}
    for name, tensor in tensors.items():
        match = _LORA.fullmatch(name)
        if match is None:
            raise ArtifactError(f"it holds {name}, which is no LoRA tensor (lora_A or lora_B)")
        # A projects down to the rank, B up from it.
        axis = 0 if match["side"] == "A" else 1
        if len(tensor.shape) != 2 or tensor.shape[axis] != config.rank:
            raise RankError(f"it holds {name} of shape {list(tensor.shape)}, which has not rank {config.rank}")
        if not config.names_layer(match["module"].removeprefix(_ROOT)):
            raise ArtifactError(f"it holds {name}, a layer that {CONFIG} does not name in target_modules")
        sides.setdefault(match["module"], set()).add(match["side"])
    if not sides:
        raise ArtifactError("it holds no tensors")
    for module, found in sorted(sides.items()):
        if found != {"A", "B"}:
            raise ArtifactError(f"it holds only lora_{found.pop()} of {module}; a pair is needed")


def parse_report(data: bytes, request: CertifyRequest) -> TrainReport:
    """Parses the training report, which must have the digest that the train Job reported. Raises ArtifactError."""
    if request.report_digest is not None and (there := digest_bytes(data)) != request.report_digest:
        raise ArtifactError(
            f"{REPORT} has the digest {there}, but the train Job reported {request.report_digest}: it was changed after"
        )
    try:
        report = TrainReport.from_wire(data)
    except ValidationError as error:
        raise ArtifactError(f"{REPORT} cannot be used: {places(error)}") from error
    if report.samples != request.samples:
        raise ArtifactError(
            f"{REPORT} counts {report.samples} rows trained, but the train Job reported {request.samples}"
        )
    if not all(math.isfinite(loss) for loss in (report.final_loss, *report.epoch_losses)):
        raise ArtifactError(f"{REPORT} has a loss that is no finite number")
    return report
