"""Tiny random models of every class that transformers loads as a causal language model: real files, made in a moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from oneseek_runtime.engine.basecheck.shrink import sharpen, shrunk
from support.tiny_model import tiny_tokenizer

VOCABULARY = 512
_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
# Where a configuration's defaults do not go together.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "gemma4_assistant": {
        "text_config": {
            "model_type": "gemma4_text",
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": 0,
        }
    },
    "cohere_compass_text": {"rope_parameters": dict.fromkeys(("sliding_attention", "full_attention"), _ROPE)},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "lfm2_moe": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention", "conv", "full_attention"]},
    "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 4},
    "granitemoehybrid": {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"]},
    "bamba": {"attn_layer_indices": [1]},
    "blt": {"vocab_size": VOCABULARY},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
}


def tiny_config(kind: str, **changes: Any) -> Any:
    """The kind's default configuration, made small."""
    config = shrunk(CONFIG_MAPPING[kind](**CHANGES.get(kind, {})), vocabulary=VOCABULARY)
    text = config.get_text_config(decoder=True)
    for name, value in changes.items():
        setattr(text, name, value)
    return config


def tiny_files(folder: Path, kind: str, **changes: Any) -> Any:
    """Write all but the weights: configuration and the tests' tokenizer; `changes` are of the text configuration."""
    tokenizer = tiny_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": 0}
    config = tiny_config(kind, **ends, **changes)
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return config


def tiny_kind(folder: Path, kind: str, **changes: Any) -> Any:
    """Write a random model of the kind."""
    torch.manual_seed(0)
    config = tiny_files(folder, kind, **changes)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    sharpen(model)
    model.save_pretrained(folder)
    config.save_pretrained(folder)  # whole: the model may be the text model of it
    return model


def changed_json(path: Path, **changes: Any) -> None:
    """Change a JSON file's fields; None removes one."""
    values = json.loads(path.read_bytes()) if path.exists() else {}
    path.write_text(json.dumps({key: value for key, value in (values | changes).items() if value is not None}))
