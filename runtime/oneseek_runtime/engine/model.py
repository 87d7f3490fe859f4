"""[I/O] The loaded model: base, and the adapters of versions where there are any; and the loop that generates.

An adapter is added into a second copy of the weights it changes, because it costs two more small products per layer
otherwise (184 ms a token instead of 113). Base and version are then sets of tensors, and naming one or the other in a
request swaps pointers; adding and subtracting in place would leave rounding errors in the base.

Generation runs in one thread, one request at a time; the event loop never waits for a matrix product. Adapters come and
go in other threads: they make new tensors and replace a table; a request keeps the adapter it was accepted for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import DynamicCache

from oneseek_runtime.engine.adapters import Skeleton, Weights, put_into
from oneseek_runtime.engine.errors import InvalidRequestError, ModelNotFoundError
from oneseek_runtime.engine.loading import context_of, end_tokens, load_parts
from oneseek_runtime.engine.pretrained import embedding_rows
from oneseek_runtime.engine.sampling import LogitShift, choose, likeliest
from oneseek_runtime.engine.wire import Asked, Sampling
from oneseek_runtime.prompt import SpecialTokenError, TemplateRefusedError, prompt_ids

__all__ = ["Adapter", "Generated", "LoadedModel", "load"]


@dataclass(frozen=True, slots=True)
class Generated:
    """One token as it leaves the model. `end` marks the end-of-turn token, which has no text to show.

    `likeliest` are as many of the likeliest at its place as were asked for, with their log-probabilities.
    """

    token: int
    logprob: float
    end: bool
    likeliest: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A version's weights under its name. The base model is one too: it changes nothing."""

    name: str
    weights: Weights


class LoadedModel:
    """A base model and any number of adapters. `names` is what it answers to, the base first."""

    def __init__(self, *, model: Any, tokenizer: Any, base_name: str) -> None:
        self._model = model
        self._skeleton = Skeleton(model, base_name)
        self._tokenizer = tokenizer
        self._base = Adapter(base_name, {})
        self._adapters: Mapping[str, Adapter] = {}
        self._active = self._base
        self._ends = end_tokens(model, tokenizer)
        self._context = context_of(model)
        self._rows = embedding_rows(model)
        self._most_characters = self._context * max(map(len, tokenizer.get_vocab()))

    @property
    def names(self) -> tuple[str, ...]:
        """The ids that requests may name."""
        return (self._base.name, *self._adapters)

    @property
    def precision(self) -> str:
        """The number format of the weights."""
        return str(self._model.dtype).removeprefix("torch.")

    def adapter(self, name: str) -> Adapter:
        """What answers under a name. It stays whole for whoever holds it, whatever is removed meanwhile.

        Raises:
            ModelNotFoundError: nothing of that name is loaded.
        """
        if name == self._base.name:
            return self._base
        found = self._adapters.get(name)
        if found is None:
            raise ModelNotFoundError(f"the model {name!r} is not loaded; there is {' and '.join(self.names)}")
        return found

    def add(self, name: str, folder: Path) -> None:
        """Load an adapter from a folder that `checks` has accepted; answers go on meanwhile. One call at a time.

        Raises:
            EngineStartError: peft cannot make anything of it.
        """
        weights = self._skeleton.weights_with(folder)
        self._adapters = {**self._adapters, name: Adapter(name, weights)}

    def remove(self, name: str) -> None:
        """Forget an adapter; requests that hold it finish on it. One call at a time."""
        self._adapters = {key: value for key, value in self._adapters.items() if key != name}

    def prompt(self, asked: Asked) -> list[int]:
        """The token ids of a request's prompt.

        Raises:
            InvalidRequestError: it cannot be put in the model's format or leaves no room for an answer; or the request
                names a token that the model does not have.
        """
        self._check_vocabulary((token for token, _ in asked.sampling.logit_bias), "logit_bias")
        param = "messages" if asked.chat else "prompt"
        texts = [message["content"] for message in asked.messages] if asked.chat else [asked.prompt]
        if (length := sum(map(len, texts))) > self._most_characters:
            # Megabytes would be tokenized for seconds, in which nobody else is answered.
            raise InvalidRequestError(
                f"This model's maximum context length is {self._context} tokens. However, your {param} holds {length}"
                f" characters, which cannot fit. Please reduce the length of the {param}.",
                param=param,
                code="context_length_exceeded",
            )
        if asked.chat:
            try:
                ids = prompt_ids(self._tokenizer, asked.messages)
            except SpecialTokenError as error:
                raise InvalidRequestError(f"a message cannot be read: {error}", param="messages") from error
            except TemplateRefusedError as error:
                raise InvalidRequestError(
                    f"the model's chat template refuses these messages: {error}", param="messages"
                ) from error
        elif isinstance(asked.prompt, str):
            ids = [int(token) for token in self._tokenizer(asked.prompt)["input_ids"]]
        else:
            ids = list(asked.prompt)
        self._check_vocabulary(ids, param)
        if not ids:
            raise InvalidRequestError("the prompt is empty", param=param, code="invalid_value")
        if len(ids) >= self._context:
            # OpenAI's words: clients that shorten a history by themselves look for them or for the code.
            raise InvalidRequestError(
                f"This model's maximum context length is {self._context} tokens. However, your {param} resulted in"
                f" {len(ids)} tokens, which leaves no room for an answer. Please reduce the length of the {param}.",
                param=param,
                code="context_length_exceeded",
            )
        return ids

    def _check_vocabulary(self, tokens: Iterable[int], param: str) -> None:
        size = self._rows
        if unknown := [token for token in tokens if not 0 <= token < size]:
            sentence = f"{param}: the token id {unknown[0]} is not in the vocabulary, which ends at {size - 1}"
            raise InvalidRequestError(sentence, param=param, code="invalid_value")

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids as text, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def token_text(self, token: int) -> str:
        """One token by itself, special ones by their name."""
        return str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))

    def generate(
        self, prompt: Sequence[int], sampling: Sampling, adapter: Adapter, stopped: Callable[[], bool]
    ) -> Iterator[Generated]:
        """Tokens one by one until the end of turn, `max_tokens` or the context's end; `stopped` is asked before each."""
        generator = None
        if sampling.temperature > 0:
            generator = torch.Generator(self._model.device)
            generator.seed() if sampling.seed is None else generator.manual_seed(sampling.seed)
        shift = LogitShift(
            sampling.logit_bias, frequency=sampling.frequency_penalty, presence=sampling.presence_penalty
        )
        room = min(sampling.max_tokens, self._context - len(prompt))
        ids = torch.tensor([list(prompt)], device=self._model.device)
        cache = DynamicCache(config=self._model.config)
        self._become(adapter)
        for _ in range(room):
            if stopped():
                return
            with torch.inference_mode():
                seen = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                logits = seen.logits[0, -1]
                token, logprob = choose(
                    logits,
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    generator=generator,
                    shift=shift.of(logits),
                )
                top = likeliest(logits, sampling.top_logprobs)
                shift.count(token)
                ids = torch.tensor([[token]], device=self._model.device)
            yield Generated(token, logprob, token in self._ends, top)
            if token in self._ends:
                return

    def _become(self, adapter: Adapter) -> None:
        """Point every layer at the weights of `adapter`. Safe because one thread generates, one answer at a time."""
        if adapter is self._active:
            return
        left = {path: self._skeleton.weights_of(path) for path in self._active.weights}
        put_into(self._model, {**left, **adapter.weights})
        self._active = adapter

    def warm_up(self, name: str) -> None:
        """Generate one token with what will be served: the first request must not pay for what is made on first use."""
        sampling = Sampling(max_tokens=1, temperature=0.0)
        prompt = prompt_ids(self._tokenizer, ({"role": "user", "content": "?"},))
        for _ in self.generate(prompt, sampling, self.adapter(name), bool):
            pass


def load(
    *,
    base: Path,
    base_name: str,
    precision: Literal["auto", "bf16", "fp32"],
    threads: int,
    base_digest: str | None = None,
) -> LoadedModel:
    """Load a base model from a folder that `checks` has accepted.

    Raises:
        EngineStartError: transformers cannot make a model of the files.
    """
    parts = load_parts(
        base=base, base_name=base_name, adapter=None, precision=precision, threads=threads, base_digest=base_digest
    )
    return LoadedModel(model=parts.model, tokenizer=parts.tokenizer, base_name=base_name)
