"""Is it the adapter that was asked for? Pure, over its configuration and its weights' header."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from pydantic import ValidationError

from oneseek_core.digest import canonical_json, digest_bytes
from oneseek_core.errors import ArtifactError, places
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_core.jobs.train import TrainReport
from oneseek_core.safetensors_header import TensorInfo
from oneseek_runtime.certify.layout import CONFIG, REPORT

__all__ = ["RankError", "check_config", "check_tensors", "parse_report"]

_LORA = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[A-Za-z0-9_]+)?\.weight")


class RankError(ArtifactError):
    """A tensor has another rank than the configuration says."""


def check_config(data: bytes, request: CertifyRequest) -> bytes:
    """Make sure that adapter_config.json describes the LoRA of the request; the result is what is certified.

    It differs in one field: the base model goes by its name there, for the path at which the train pod had it mounted
    means nothing to a reader.

    Raises:
        ArtifactError: it does not.
    """
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{CONFIG} is no JSON") from error
    if not isinstance(config, dict):
        raise ArtifactError(f"{CONFIG} is no JSON object")
    if config.get("peft_type") != "LORA":
        raise ArtifactError(f"{CONFIG} has peft_type {config.get('peft_type')!r}, but a LORA adapter was asked for")
    for key, wanted in (("r", request.lora.rank), ("lora_alpha", request.lora.alpha)):
        if config.get(key) != wanted:
            raise ArtifactError(f"{CONFIG} has {key} {config.get(key)!r}, but the run asked for {wanted}")
    if "auto_map" in config:
        raise ArtifactError(f"{CONFIG} has auto_map: it brings code of its own, which is never run")
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ArtifactError(f"{CONFIG} names no base model (base_model_name_or_path)")
    try:
        return canonical_json({**config, "base_model_name_or_path": request.base_name}) + b"\n"
    except ValueError as error:  # NaN, or half a character in a text
        raise ArtifactError(f"{CONFIG} holds a value that JSON cannot: {error}") from error


def check_tensors(tensors: Mapping[str, TensorInfo], rank: int) -> None:
    """Make sure that the weights are LoRA pairs of the given rank and nothing else.

    Raises:
        RankError: a tensor has another rank.
        ArtifactError: a tensor is no LoRA, or lacks its other half.
    """
    sides: dict[str, set[str]] = {}
    for name, tensor in tensors.items():
        match = _LORA.fullmatch(name)
        if match is None:
            raise ArtifactError(f"it holds {name}, which is no LoRA tensor (lora_A or lora_B)")
        # A projects down to the rank, B up from it.
        axis = 0 if match["side"] == "A" else 1
        if len(tensor.shape) != 2 or tensor.shape[axis] != rank:
            raise RankError(f"it holds {name} of shape {list(tensor.shape)}, which has not rank {rank}")
        sides.setdefault(match["module"], set()).add(match["side"])
    if not sides:
        raise ArtifactError("it holds no tensors")
    for module, found in sorted(sides.items()):
        if found != {"A", "B"}:
            raise ArtifactError(f"it holds only lora_{found.pop()} of {module}; a pair is needed")


def parse_report(data: bytes, request: CertifyRequest) -> TrainReport:
    """What training measured, in the very file that the train Job reported.

    Raises:
        ArtifactError: it is no report, another one than was reported, or its loss is no number.
    """
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
