"""Logits to token. Pure tensor functions; randomness comes in as a generator."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["LogitShift", "choose", "likeliest", "nucleus"]

_COLDEST = 1e-5  # what is colder is greedy: the draw would be the same, and logits over less are no numbers any more


class LogitShift:
    """What a request adds to the logits before a token is drawn: its biases, less its penalties for what it has drawn.

    OpenAI's formula: a token drawn `n` times so far loses `n * frequency`, and `presence` once where `n > 0`. What
    stands in the prompt was not drawn.
    """

    def __init__(self, bias: Iterable[tuple[int, float]], *, frequency: float, presence: float) -> None:
        self._bias = dict(bias)
        self._frequency, self._presence = frequency, presence
        self._drawn: Counter[int] = Counter()
        self._shift: Tensor | None = None

    def of(self, logits: Tensor) -> Tensor | None:
        """What to add to `logits` (`[vocabulary]`); None where the request adds nothing."""
        if self._shift is None and (self._bias or self._frequency or self._presence):
            self._shift = torch.zeros(logits.shape[-1], device=logits.device)
            for token, bias in self._bias.items():
                self._shift[token] = bias
        return self._shift

    def count(self, token: int) -> None:
        """A token was drawn."""
        if self._shift is None:
            return
        self._drawn[token] += 1
        # From the count each time: adding up would round each time.
        lost = self._drawn[token] * self._frequency + self._presence
        self._shift[token] = self._bias.get(token, 0.0) - lost


def choose(
    logits: Tensor, *, temperature: float, top_p: float, generator: torch.Generator | None, shift: Tensor | None = None
) -> tuple[int, float]:
    """The next token's id, and its log-probability (nats) under the model's own distribution.

    That is the untempered and unshifted one, because the number says how sure the model is, not how the answer was
    drawn. Temperature 0 is greedy, and so is `top_p` 0: the first of the likeliest tokens. `logits` is `[vocabulary]`,
    of any float type; `shift` is added to them.
    """
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    wanted = logprobs if shift is None else logprobs + shift
    if temperature < _COLDEST or top_p <= 0:
        token = int(wanted.argmax())
    else:
        weights = nucleus(torch.softmax(wanted / temperature, dim=-1), top_p)
        token = int(torch.multinomial(weights, 1, generator=generator))
    return token, float(logprobs[token])


def likeliest(logits: Tensor, count: int) -> tuple[tuple[int, float], ...]:
    """The `count` likeliest tokens and their log-probabilities (as of `choose`), likeliest first, equal ones by id.

    Fewer where the vocabulary is smaller, or the model holds a token impossible.
    """
    if not count:
        return ()
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    least = logprobs.topk(min(count, len(logprobs))).values[-1]
    tokens = (logprobs >= least).nonzero().flatten()  # more than `count` where the last ones are equal
    order = logprobs[tokens].sort(descending=True, stable=True).indices[:count]
    found = ((int(token), float(logprobs[token])) for token in tokens[order])
    return tuple((token, logprob) for token, logprob in found if math.isfinite(logprob))


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
