"""Logits to token. Pure tensor functions; randomness comes in as a generator."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["choose", "nucleus"]


def choose(logits: Tensor, *, temperature: float, top_p: float, generator: torch.Generator | None) -> tuple[int, float]:
    """The next token's id, and its log-probability (nats) under the model's own, untempered distribution.

    The untempered one, because the number says how sure the model is, not how the answer was drawn. Temperature 0 is
    greedy: the first of the likeliest tokens. `logits` is `[vocabulary]`, of any float type.
    """
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    if temperature <= 0:
        token = int(logprobs.argmax())
    else:
        weights = nucleus(torch.softmax(logprobs / temperature, dim=-1), top_p)
        token = int(torch.multinomial(weights, 1, generator=generator))
    return token, float(logprobs[token])


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """The probabilities of the smallest set of likeliest tokens that together reach `top_p`; 0 for the others.

    The likeliest token always stays. The result is not rescaled (multinomial does not need it). `[vocabulary]`.
    """
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    kept = torch.where(before < top_p, ordered, torch.zeros_like(ordered))
    kept[0] = ordered[0]
    return torch.zeros_like(probabilities).scatter(0, order, kept)
