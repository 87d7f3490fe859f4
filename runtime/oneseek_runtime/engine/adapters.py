"""[I/O] Adapters as second sets of weights, made beside a model that goes on answering.

peft puts its own layers into the model it works on, so it gets a model of its own: the same modules over the same base
tensors (a few hundred small objects, no second copy of the weights). What it adds up there are new tensors, and only
they reach the model that generates.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError

from oneseek_core.errors import ArtifactError
from oneseek_core.names import ExitCode
from oneseek_runtime.artifact.adapter_config import CONFIG, AdapterConfig, parse_config
from oneseek_runtime.engine.errors import EngineStartError
from oneseek_runtime.log import say

__all__ = ["Skeleton", "Weights", "put_into"]

Weights = Mapping[str, torch.nn.Parameter]
"""The weights of every layer that an adapter changes, by the layer's path in the model."""


class Skeleton:
    """A base model's modules over its tensors. Made before anything is added to the model; never generates."""

    def __init__(self, model: Any, base_name: str) -> None:
        self._model = _sharing(model)
        self._base_name = base_name

    def weights_with(self, adapter: Path) -> Weights:
        """The weights of the layers that the adapter changes, the adapter added in.

        Raises:
            EngineStartError: peft cannot make anything of the folder, or a sum is no finite number.
        """
        try:
            config = _lora(parse_config((adapter / CONFIG).read_bytes()))
            # With a configuration of ours peft reads none; `checks` saw safetensors there.
            adapted = PeftModel.from_pretrained(_sharing(self._model), str(adapter), config=config)
            changed = [
                path for path, module in adapted.get_base_model().named_modules() if isinstance(module, BaseTunerLayer)
            ]
            merged: Any = adapted
            merged = merged.merge_and_unload(safe_merge=True)
        except ArtifactError as error:
            raise EngineStartError(f"the adapter is refused: {error}", ExitCode.BAD_ARTIFACT) from error
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
            say("refused by peft", adapter=adapter.name, error=f"{type(error).__name__}: {error}")
            sentence = f"the adapter cannot be loaded onto {self._base_name}; the pod's log says why"
            raise EngineStartError(sentence, ExitCode.BAD_ARTIFACT) from error
        return {path: _frozen(merged.get_submodule(path).weight) for path in changed}

    def weights_of(self, path: str) -> torch.nn.Parameter:
        """A layer's weights as the base has them."""
        weight: torch.nn.Parameter = self._model.get_submodule(path).weight
        return weight


def _lora(config: AdapterConfig) -> LoraConfig:
    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets),
        exclude_modules=config.excluded,
        fan_in_fan_out=config.transposed,
        bias="none",
        task_type="CAUSAL_LM",
        base_model_name_or_path=config.base,
    )


def put_into(model: Any, weights: Weights) -> None:
    """Have the model answer with these weights."""
    for path, weight in weights.items():
        model.get_submodule(path).weight = weight


def _sharing(model: Any) -> Any:
    """A copy of the modules. Parameters are new objects over the same storage: merging puts new data into the object."""
    shared: dict[int, Any] = {id(item): _frozen(item) for item in model.parameters()}
    shared |= {id(item): item for item in model.buffers()}
    return copy.deepcopy(model, shared)


def _frozen(weight: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(weight.detach(), requires_grad=False)
