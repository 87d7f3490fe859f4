"""[I/O] What is proved of a base model's files before it counts as imported.

In two parts, because the weights are what takes hours to fetch: all that stands in the small files first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from oneseek_core.errors import ArtifactError
from oneseek_core.files import read_tensors
from oneseek_core.safetensors_header import TensorInfo
from oneseek_runtime.basemodel.folder import weight_files
from oneseek_runtime.engine.basecheck.trial import try_out
from oneseek_runtime.engine.pretrained import (
    UnusableBaseError,
    check_tokens,
    load_config,
    load_tokenizer,
    own_files,
    random_model,
    refuse_gaps,
    refused,
)
from oneseek_runtime.log import say
from oneseek_runtime.prompt import TemplateRefusedError, prompt_ids, user_message

__all__ = ["check_small_files", "check_weights"]

_FLOATS = ("F64", "F32", "F16", "BF16")


def check_small_files(folder: Path) -> None:
    """Configuration, tokenizer and chat template, and a small random model of that configuration's kind.

    Raises:
        ArtifactError: engine or train could not use the model; the sentence says why and what to do.
    """
    with own_files(folder) as files:
        config = load_config(files)
        tokenizer = load_tokenizer(files, config)
        _check_generation(files)
    try:
        ids = prompt_ids(tokenizer, [user_message("Who are you?")])
    except TemplateRefusedError as error:
        raise ArtifactError(f"its chat template refuses a single question of a user: {error}") from error
    if not ids:
        raise ArtifactError("its chat template makes nothing of a single question of a user")
    try_out(config)
    say("tried", kind=str(config.model_type))


def _check_generation(files: Path) -> None:
    if (files / "generation_config.json").exists():
        with refused("generation_config.json holds settings that transformers refuses: correct it, or remove it"):
            GenerationConfig.from_pretrained(files, local_files_only=True)


def check_weights(folder: Path) -> None:
    """Every tensor's name and shape, by the files' headers, against an empty model of the class that will load them.

    Raises:
        ArtifactError: a tensor is missing, left over, of another shape or quantised.
    """
    with own_files(folder) as files:
        config = load_config(files)
        tensors: dict[str, TensorInfo] = {}
        for name in weight_files(files, [path.name for path in files.iterdir()]):
            tensors |= read_tensors(files / name)
        _refuse_quantised(tensors)
        rows = _check_tensors(config, tensors)
        check_tokens(load_tokenizer(files, config), rows)


def _refuse_quantised(tensors: Mapping[str, TensorInfo]) -> None:
    for name, tensor in sorted(tensors.items()):
        if name.endswith(("weight", "weight_packed")) and tensor.dtype not in _FLOATS:
            raise UnusableBaseError(
                f"the tensor {name} is of the type {tensor.dtype}: the weights are quantised; use the unquantised model"
            )


def _check_tensors(config: Any, tensors: Mapping[str, TensorInfo]) -> int:
    """Let transformers load tensors of those shapes and no content; the result is the embedding's rows."""
    with refused("transformers cannot make a model of config.json"), torch.device("meta"):
        model = random_model(config, torch.bfloat16)
    empty = {name: torch.empty(tensor.shape, dtype=torch.bfloat16, device="meta") for name, tensor in tensors.items()}
    with refused("the tensors' shapes are not those that config.json tells"):
        _, info = type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=empty,
            dtype=torch.bfloat16,
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    refuse_gaps(model, info)
    return int(model.get_input_embeddings().weight.shape[0])
