"""[I/O] The adapter and the checkpoint as files. safetensors and JSON only; nothing is ever unpickled.

Each file appears whole or not at all (`files.write_atomic`), so a kill at any moment leaves the previous one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.files import is_full, write_atomic
from oneseek_runtime.train.lora import ADAPTER

__all__ = ["ADAPTER_CONFIG", "ADAPTER_WEIGHTS", "load_checkpoint", "save_adapter", "save_checkpoint", "store"]

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
CHECKPOINT_DIR = "checkpoint"
_CHECKPOINT = "state.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")


def store(path: Path, data: bytes, *, what: str) -> None:
    """Write a file whole.

    Raises:
        JobError: the volume is full.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        if is_full(error):
            raise JobError.storage_full(what, str(path)) from error
        raise


def save_adapter(model: Any, folder: Path) -> str:
    """Write the adapter in PEFT's format; returns the SHA-256 of its weights. Equal weights give equal bytes."""
    tensors = {
        name: _plain(tensor) for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    data = save(dict(sorted(tensors.items())), metadata={"format": "pt"})
    settings = model.peft_config[ADAPTER].to_dict() | {"inference_mode": True}
    text = json.dumps({key: _json_value(settings[key]) for key in sorted(settings)}, indent=2)
    store(folder / ADAPTER_CONFIG, f"{text}\n".encode(), what="the adapter's settings")
    store(folder / ADAPTER_WEIGHTS, data, what="the adapter")
    return digest_bytes(data)


def save_checkpoint(
    folder: Path,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    notes: Mapping[str, Any],
) -> None:
    """Write adapter, optimiser and `notes` (JSON) as one file, so that they can never be of different steps."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[f"weight/{name}"] = _plain(parameter)
        for moment in _MOMENTS:  # a layer that no row has reached yet (an expert) has none
            found = optimiser.state[parameter].get(moment)
            tensors[f"{moment}/{name}"] = _plain(torch.zeros_like(parameter) if found is None else found)
    data = save(tensors, metadata={"notes": json.dumps(notes)})
    store(folder / CHECKPOINT_DIR / _CHECKPOINT, data, what="a checkpoint")


def checkpoint_notes(folder: Path) -> dict[str, Any] | None:
    """The notes of the checkpoint in `folder`; None where there is none that can be read."""
    try:
        with safe_open(folder / CHECKPOINT_DIR / _CHECKPOINT, framework="pt") as file:
            notes = json.loads((file.metadata() or {})["notes"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return notes if isinstance(notes, dict) else None


def load_checkpoint(
    folder: Path, parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer, step: int
) -> None:
    """Bring parameters and optimiser to where the checkpoint of step `step` left them, bit for bit."""
    with safe_open(folder / CHECKPOINT_DIR / _CHECKPOINT, framework="pt") as file, torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(file.get_tensor(f"weight/{name}"))
            moments = {m: file.get_tensor(f"{m}/{name}").to(parameter.device) for m in _MOMENTS}
            counted = torch.tensor(float(step), device=parameter.device)
            optimiser.state[parameter] = {"step": counted, **moments}


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu").contiguous()


def _json_value(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)
