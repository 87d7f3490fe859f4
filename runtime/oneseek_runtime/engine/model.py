"""[I/O] The loaded model: base, and the version's adapter where one is to be served; and the loop that generates.

An adapter is added into a second copy of the weights it changes, because it costs two more small products per layer
otherwise (184 ms a token instead of 113). Base and version are then two sets of tensors, and naming one or the other
in a request swaps pointers; adding and subtracting in place would leave rounding errors in the base.

Everything here runs in one thread, one request at a time; the event loop never waits for a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import DynamicCache

from oneseek_runtime.engine.errors import InvalidRequestError
from oneseek_runtime.engine.loading import Changed, context_of, end_tokens, load_parts
from oneseek_runtime.engine.sampling import choose
from oneseek_runtime.engine.wire import Asked, Sampling
from oneseek_runtime.prompt import prompt_ids

__all__ = ["Generated", "LoadedModel", "load"]


@dataclass(frozen=True, slots=True)
class Generated:
    """One token as it leaves the model. `end` marks the end-of-turn token, which has no text to show."""

    token: int
    logprob: float
    end: bool


class LoadedModel:
    """A base model with at most one version's adapter. `names` is what it answers to, the base first."""

    def __init__(
        self,
        *,
        model: Any,
        tokenizer: Any,
        base_name: str,
        dna: str | None,
        changed: Sequence[Changed] = (),
    ) -> None:
        self._model = model
        self._changed = changed
        self._tokenizer = tokenizer
        self._base_name = base_name
        self._dna = dna
        self._ends = end_tokens(model, tokenizer)
        self._context = context_of(model)

    @property
    def names(self) -> tuple[str, ...]:
        """The ids that requests may name."""
        return (self._base_name,) if self._dna is None else (self._base_name, self._dna)

    @property
    def target(self) -> str:
        """The model this engine is there for."""
        return self._dna or self._base_name

    @property
    def precision(self) -> str:
        """The number format of the weights."""
        return str(self._model.dtype).removeprefix("torch.")

    def prompt(self, asked: Asked) -> list[int]:
        """The token ids of a request's prompt.

        Raises:
            InvalidRequestError: it cannot be put in the model's format or leaves no room for an answer.
        """
        if asked.chat:
            try:
                ids = prompt_ids(self._tokenizer, asked.messages)
            except Exception as error:  # jinja's errors have no common base in transformers' API
                raise InvalidRequestError(f"the model's chat template refuses these messages: {error}") from error
        elif isinstance(asked.prompt, str):
            ids = [int(token) for token in self._tokenizer(asked.prompt)["input_ids"]]
        else:
            ids = list(asked.prompt)
            if not all(0 <= token < self._model.config.get_text_config().vocab_size for token in ids):
                raise InvalidRequestError("a token id of the prompt is not in the vocabulary")
        if not ids:
            raise InvalidRequestError("the prompt is empty")
        if len(ids) >= self._context:
            raise InvalidRequestError(f"the prompt has {len(ids)} tokens; the model's context is {self._context}")
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids as text, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def token_text(self, token: int) -> str:
        """One token by itself, special ones by their name."""
        return str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))

    def generate(
        self, prompt: Sequence[int], sampling: Sampling, model: str, stopped: Callable[[], bool]
    ) -> Iterator[Generated]:
        """Tokens one by one until the end of turn, `max_tokens` or the context's end; `stopped` is asked before each.

        `model` is one of `names`; the base answers with the adapter switched off.
        """
        generator = None
        if sampling.temperature > 0:
            generator = torch.Generator(self._model.device)
            generator.seed() if sampling.seed is None else generator.manual_seed(sampling.seed)
        room = min(sampling.max_tokens, self._context - len(prompt))
        ids = torch.tensor([list(prompt)], device=self._model.device)
        cache = DynamicCache(config=self._model.config)
        self._become(model)
        for _ in range(room):
            if stopped():
                return
            with torch.inference_mode():
                seen = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                token, logprob = choose(
                    seen.logits[0, -1], temperature=sampling.temperature, top_p=sampling.top_p, generator=generator
                )
                ids = torch.tensor([[token]], device=self._model.device)
            yield Generated(token, logprob, end=token in self._ends)
            if token in self._ends:
                return

    def _become(self, model: str) -> None:
        """Point every changed layer at the weights of `model`. Safe because one thread generates, one answer at a time."""
        for layer in self._changed:
            layer.module.weight = layer.version if model == self._dna else layer.base

    def warm_up(self) -> None:
        """Generate one token with what will be served: the first request must not pay for what is made on first use."""
        sampling = Sampling(max_tokens=1, temperature=0.0)
        for _ in self.generate(
            prompt_ids(self._tokenizer, ({"role": "user", "content": "?"},)), sampling, self.target, bool
        ):
            pass


def load(
    *,
    base: Path,
    base_name: str,
    adapter: Path | None,
    dna: str | None,
    precision: Literal["auto", "bf16", "fp32"],
    threads: int,
) -> LoadedModel:
    """Load what is to be served, from folders that `checks` has accepted.

    Raises:
        EngineStartError: transformers or peft cannot make a model of the files.
    """
    parts = load_parts(base=base, base_name=base_name, adapter=adapter, precision=precision, threads=threads)
    return LoadedModel(
        model=parts.model, tokenizer=parts.tokenizer, base_name=base_name, dna=dna, changed=parts.changed
    )
