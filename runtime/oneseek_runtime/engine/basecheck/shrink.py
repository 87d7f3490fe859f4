"""A model of the same kind, made as small as a test needs.

Sizes go by their names, which are much the same in all of transformers; what says how a model computes (activations,
scales, kinds of layers, the order in which layers of different kinds follow each other) stays.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["sharpen", "shrunk"]

_HEADS, _HEAD = 4, 16
_WIDTH = _HEADS * _HEAD
_MOST_LAYERS = 9
_SPREAD = 0.2  # of fresh weights; transformers' usual 0.02 makes all tokens as good as equally likely

_LAYERS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers", "num_decoder_layers",
    "num_encoder_layers", "num_blocks", "depth",
)  # fmt: skip
_KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "kv_n_heads", "num_query_groups", "swa_num_key_value_heads")
_SIZES: dict[int, tuple[str, ...]] = {
    _HEADS: (
        "num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads", "decoder_attention_heads",
        "encoder_attention_heads", "num_decoder_attention_heads", "num_encoder_attention_heads", "linear_num_heads",
        "linear_num_value_heads", "swa_num_attention_heads", "index_n_heads", "mamba_n_heads", "mamba_num_heads", "n_mamba_heads",
        "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts",
    ),
    _HEAD: (
        "head_dim", "d_head", "kv_channels", "attention_head_size", "swa_head_dim",
        "qk_nope_head_dim", "v_head_dim", "linear_key_head_dim", "linear_value_head_dim", "linear_head_dim",
        "qk_rope_head_dim", "global_head_dim", "rotary_dim", "d_rel", "mamba_d_head", "mamba_headdim", "mamba_head_dim",
    ),
    2 * _HEAD: ("qk_head_dim", "index_head_dim"),
    8: ("q_lora_rank", "kv_lora_rank", "o_lora_rank", "time_step_rank", "mamba_dt_rank", "adapter_rank", "state_size",
        "ssm_state_size", "mamba_d_state"),
    2: (
        "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "moe_k", "linear_num_key_heads",
        "attn_layer_period", "expert_layer_period", "num_global_layers", "layer_group_size",
    ),
    1: (
        "n_group", "topk_group", "num_expert_group", "n_groups", "mamba_n_groups", "mamba_ngroups", "n_shared_experts",
        "moe_num_shared_experts", "num_shared_experts", "num_mem_blocks", "expert_layer_offset", "attn_layer_offset",
        "n_layers_per_attn_res_block", "first_k_dense_replace", "num_dense_layers", "moe_layer_start_index",
        "num_layers_per_stack", "o_groups", "expand", "mamba_expand",
    ),
    0: ("num_nextn_predict_layers", "num_kv_shared_layers", "zero_expert_num"),
}  # fmt: skip
_EXACT = {name: size for size, names in _SIZES.items() for name in names}
_WIDTH_ENDS = ("_size", "_dim", "_width", "_rank", "d_model", "n_embd", "n_inner", "d_inner", "dff", "d_ff", "d_ssm")
_WIDTH_NAMES = ("d_model", "n_embd", "n_inner", "d_inner", "dff", "dim", "width", "lru_width")
_KEPT_SIZES = (
    "vocab_size", "chunk_size", "window_size", "patch_size", "image_size", "kernel_size", "block_size", "crop_size",
    "group_size", "batch_size", "merge_size", "buckets_size",
)  # fmt: skip


def shrunk(config: Any, *, vocabulary: int) -> Any:
    """The configuration with few narrow layers and `vocabulary` tokens, for a model of random weights.

    Raises:
        Exception: whatever the configuration's class says about the sizes, if they do not go together.
    """
    small = type(config).from_dict(_shrunk(config.to_dict(), vocabulary))
    small._attn_implementation = None
    return small


def sharpen(model: Any) -> None:
    """Give a random model weights so large that its answers depend on every token that it sees."""
    with torch.no_grad():
        for part in model.parameters():
            if part.dim() > 1:
                part.normal_(std=_SPREAD)


def _shrunk(values: Mapping[str, Any], vocabulary: int) -> dict[str, Any]:
    before, small = dict(values), dict(values)
    count = next((before[name] for name in _LAYERS if isinstance(before.get(name), int)), None)
    layers = _layers_of(before, count) if count else None
    for name, value in before.items():
        if isinstance(value, dict):
            small[name] = _of_object(name, value, vocabulary, layers)
        elif isinstance(value, list) and count is not None and layers is not None:
            small[name] = _of_list(name, value, count, layers)
        elif isinstance(value, int) and not isinstance(value, bool):
            small[name] = _of_number(name, value, vocabulary, layers, before)
    return small


def _layers_of(values: Mapping[str, Any], count: int) -> int:
    """The fewest first layers that hold each kind twice (some share weights), or once where that would be many."""
    if isinstance(pattern := values.get("block_types"), list) and len(pattern) < count:  # kinds that repeat
        return min(len(pattern), _MOST_LAYERS)
    lists = [value for value in values.values() if isinstance(value, list) and len(value) == count]
    kinds = [repr([item[index] for item in lists]) for index in range(count)] if lists else ["plain"] * count
    for times in (2, 1):
        wanted = {kind: min(times, kinds.count(kind)) for kind in kinds}
        for size in range(1, min(count, _MOST_LAYERS) + 1):
            if all(kinds[:size].count(kind) >= number for kind, number in wanted.items()):
                return size
    return min(count, _MOST_LAYERS)


def _of_object(name: str, value: Mapping[str, Any], vocabulary: int, layers: int | None) -> Any:
    if layers is not None and value and all(str(key).isdecimal() for key in value):  # by layer
        return {
            key: _shrunk(item, vocabulary) if isinstance(item, dict) else item
            for key, item in value.items()
            if int(key) < layers
        }
    if any(isinstance(value.get(key), int) for key in _LAYERS) or name.endswith("config"):
        return _shrunk(value, vocabulary)
    return copy.deepcopy(value)


def _of_list(name: str, value: list[Any], count: int, layers: int) -> list[Any]:
    if len(value) == count:
        cut = value[:layers]
        return [_of_width(name, item) if isinstance(item, int) else item for item in cut]
    if name.endswith(("_ids", "_idxs", "_layers", "_indexes", "_indices")) and all(isinstance(i, int) for i in value):
        return [item for item in value if item < layers] or ([layers - 1] if value else [])
    return copy.deepcopy(value)


def _of_number(name: str, value: int, vocabulary: int, layers: int | None, values: Mapping[str, Any]) -> int:
    if name in _LAYERS and layers is not None:
        return layers if value == values.get(next(key for key in _LAYERS if key in values)) else min(value, 2)
    if name.endswith(("vocab_size", "_vocab")):
        return min(value, vocabulary)
    if name.endswith(("token_id", "token_index")):
        return value if value < vocabulary else vocabulary - 1
    if name in _KEY_VALUE_HEADS:
        heads = next((values[key] for key in ("num_attention_heads", "n_head", "n_heads") if values.get(key)), value)
        return 1 if value == 1 else _HEADS if value == heads else 2
    if name == "head_dim" and value == values.get("qk_nope_head_dim", 0) + values.get("qk_rope_head_dim", 0):
        return 2 * _HEAD
    if name in ("attention_hidden_size", "attention_head_dim"):  # some attend over two inputs beside each other
        width = _WIDTH if values.get("attention_hidden_size", 0) < 2 * values.get("hidden_size", value) else 2 * _WIDTH
        return width if name == "attention_hidden_size" else width // _HEADS
    if name in _EXACT:
        return min(value, _EXACT[name]) if value <= 1 else _EXACT[name]
    return _of_width(name, value)


def _of_width(name: str, value: int) -> int:
    if name.endswith(_KEPT_SIZES):
        return value
    if name in _WIDTH_NAMES or name.endswith(_WIDTH_ENDS):
        return min(value, _WIDTH)
    return value
