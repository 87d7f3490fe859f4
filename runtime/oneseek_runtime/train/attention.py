"""Attention within rows of a packed sequence: each row sees the shared prefix and itself.

transformers hands each layer's queries, keys and values to the function registered here, whatever the model; what
the layers do beside attention works on single tokens and does not care which row one belongs to.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from oneseek_runtime.train.data import Pack

__all__ = ["PACKED", "RowMasks", "row_masks"]

PACKED = "oneseek_packed"

RowMasks = list[Tensor]

_OTHER_ARITHMETIC = ("softcap", "s_aux")  # a cap on the scores; learnt attention sinks


def row_masks(pack: Pack, device: torch.device) -> RowMasks:
    """For each row, which keys (prefix, then the row) a query of it may see: `[row x (shared + row)]`, True = sees."""
    return [
        torch.ones(length, pack.shared + length, dtype=torch.bool, device=device).tril(pack.shared)
        for length in pack.lengths
    ]


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    packed_rows: RowMasks | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of one layer; query `[1 x heads x tokens x size]`, key and value with maybe fewer heads.

    Returns `[1 x tokens x heads x size]`, which is what transformers expects back.

    Raises:
        TypeError: this model's attention cannot be computed here (`model.can_pack` then trains it row by row).
    """
    if packed_rows is None:
        raise TypeError("packed attention was called without packed_rows; the model does not pass options on")
    if any(others.get(name) is not None for name in _OTHER_ARITHMETIC):
        raise TypeError("the model's attention is more than a scaled dot product")
    dtype = query.dtype
    if query.device.type == "cpu":
        # Short rows: PyTorch's fp32 kernel beats its bf16 one here several times over, and is more exact.
        query, key, value = query.float(), key.float(), value.float()
    options: dict[str, Any] = {"scale": scaling, "dropout_p": dropout}
    options["enable_gqa"] = query.shape[1] != key.shape[1]
    lengths = [mask.shape[0] for mask in packed_rows]
    shared = query.shape[2] - sum(lengths)
    queries, keys, values = (torch.split(part, [shared, *lengths], dim=2) for part in (query, key, value))
    outputs = []
    if shared:
        outputs.append(scaled_dot_product_attention(queries[0], keys[0], values[0], is_causal=True, **options))
    for row, mask in enumerate(packed_rows, start=1):
        seen_keys = torch.cat([keys[0], keys[row]], dim=2) if shared else keys[row]
        seen_values = torch.cat([values[0], values[row]], dim=2) if shared else values[row]
        outputs.append(scaled_dot_product_attention(queries[row], seen_keys, seen_values, attn_mask=mask, **options))
    return torch.cat(outputs, dim=2).transpose(1, 2).to(dtype), None


AttentionInterface.register(PACKED, _attend)
