"""Makers of the files that the Jobs read: weights, model folders, what training leaves, requests."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.digest import digest_bytes

RUN = {"namespace": "team", "name": "identity", "uid": "run-uid-1"}
MODEL = {"namespace": "team", "name": "demo", "uid": "model-uid-1"}
SPEC_DIGEST = "sha256:" + "5" * 64
BASE_DIGEST = "sha256:" + "b" * 64
DATA_DIGEST = "sha256:" + "d" * 64
CREATED_AT = "2026-08-23T10:11:12.345Z"
RANK = 4


def safetensors(shapes: Mapping[str, Sequence[int]], fill: int = 1) -> bytes:
    """A safetensors file of F32 tensors whose every byte is `fill`."""
    header, position = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    return raw_safetensors(header, bytes([fill]) * position)


def raw_safetensors(header: object, data: bytes) -> bytes:
    """A safetensors file of any header, right or wrong."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def model_folder(folder: Path, *, fill: int = 1) -> Path:
    """The smallest folder that is accepted as a base model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 2}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors({"embed.weight": (2, 2)}, fill))
    return folder


LORA_SHAPES = {
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (RANK, 8),
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": (8, RANK),
}


def adapter_config(**changes: object) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "r": RANK,
        "lora_alpha": 8,
        "base_model_name_or_path": "tiny",
        "target_modules": ["q_proj"],
    } | changes


def train_report(weights: bytes, **changes: object) -> dict[str, Any]:
    return {
        "steps": 30,
        "epochs": 3,
        "samples": 120,
        "finalLoss": 0.25,
        "epochLosses": [2.5, 1.0, 0.25],
        "labelTokens": 4096,
        "tokensPerSecond": 512.5,
        "durationSeconds": 83.5,
        "startedAt": "2026-08-23T10:09:00.000Z",
        "endedAt": "2026-08-23T10:10:23.500Z",
        "precision": "fp32",
        "device": "cpu",
        "weightsDigest": digest_bytes(weights),
    } | changes


def stage_adapter(staging: Path, *, weights: bytes | None = None) -> bytes:
    """What a good training leaves in `<staging>/adapter`; the result is the weights' bytes."""
    folder = staging / "adapter"
    folder.mkdir(parents=True, exist_ok=True)
    data = safetensors(LORA_SHAPES) if weights is None else weights
    (folder / "adapter_model.safetensors").write_bytes(data)
    (folder / "adapter_config.json").write_text(json.dumps(adapter_config()))
    (folder / "training_report.json").write_text(json.dumps(train_report(data)))
    return data


def certify_request(staging: Path, certified: Path, **changes: object) -> dict[str, Any]:
    return {
        "run": RUN,
        "specDigest": SPEC_DIGEST,
        "model": MODEL,
        "stagingPath": str(staging),
        "certifiedPath": str(certified),
        "family": "OneSeek-7B-Zero",
        "major": 1,
        "micro": 0,
        "type": "Major",
        "language": "ensv",
        "tags": ["Identity"],
        "createdAt": CREATED_AT,
        "baseName": "tiny",
        "baseDigest": BASE_DIGEST,
        "datasets": [{"name": "oneseek_identity_v1", "digest": DATA_DIGEST, "rows": 120}],
        "dataDigest": DATA_DIGEST,
        "samples": 120,
        "epochs": 3,
        "learningRate": 0.0002,
        "batchSize": 8,
        "maximumLength": 128,
        "seed": 42,
        "lora": {"rank": RANK, "alpha": 8, "dropout": 0.05, "targetModules": ["q_proj"]},
    } | changes


def environment(request: Mapping[str, Any] | ApiModel, **more: str) -> dict[str, str]:
    """A job's environment."""
    value = request.to_wire() if isinstance(request, ApiModel) else request
    return {names.REQUEST_ENV: json.dumps(value)} | more


def tree_of(root: Path) -> dict[str, bytes]:
    """Every regular file below a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
