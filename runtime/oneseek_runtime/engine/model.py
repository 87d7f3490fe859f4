"""[I/O] The loaded model: base, and the version's adapter where one is to be served; and the loop that generates.

Number format: bf16 on GPUs and on CPUs with AVX-512, else fp32; `ONESEEK_PRECISION` overrides it. Decoding reads every
weight once per token, so half the bytes is what counts: SmolLM2-135M on two busy cores took 96 ms a token at best in
bf16 and 122 ms in fp32.

An adapter is added into a second copy of the weights it changes, because it costs two more small products per layer
otherwise (184 ms a token instead of 113). Base and version are then two sets of tensors, and naming one or the other
in a request swaps pointers; adding and subtracting in place would leave rounding errors in the base.

Everything here runs in one thread, one request at a time; the event loop never waits for a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging as transformers_logging

from oneseek_core.names import ExitCode
from oneseek_runtime.engine.errors import EngineStartError, InvalidRequestError
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


@dataclass(frozen=True, slots=True)
class Changed:
    """A layer that the adapter changes, with its weights as the base has them and as the version has them."""

    module: torch.nn.Module
    base: torch.nn.Parameter
    version: torch.nn.Parameter


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
        self._ends = _end_tokens(model, tokenizer)
        self._context = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 2**31)

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


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a turn: the model's, its generation settings' and the tokenizer's."""
    ends: set[int] = set()
    for value in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        ends.update([value] if isinstance(value, int) else value or [])
    return frozenset(ends)


def load(
    *,
    base: Path,
    base_name: str,
    adapter: Path | None,
    dna: str | None,
    precision: Literal["auto", "bf16", "fp32"],
    threads: int,
) -> LoadedModel:
    """Load from local folders that `checks` has accepted; no code of theirs runs, no pickle is read.

    Raises:
        EngineStartError: transformers or peft cannot make a model of the files.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fast_bf16 = device.type == "cuda" or "AVX512" in torch.backends.cpu.get_cpu_capability()
    dtype = torch.bfloat16 if precision == "bf16" or (precision == "auto" and fast_bf16) else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=dtype,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        sentence = f"the base model in {base} cannot be loaded: {_first_line(error)}"
        raise EngineStartError(sentence, ExitCode.BAD_INPUT) from error
    model = model.to(device).eval().requires_grad_(requires_grad=False)
    changed: list[Changed] = []
    if adapter is not None:
        try:
            model, changed = _with_adapter(model, adapter)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            sentence = f"the adapter in {adapter} cannot be loaded onto {base_name}: {_first_line(error)}"
            raise EngineStartError(sentence, ExitCode.BAD_ARTIFACT) from error
    return LoadedModel(model=model, tokenizer=tokenizer, base_name=base_name, dna=dna, changed=changed)


def _with_adapter(model: Any, adapter: Path) -> tuple[Any, list[Changed]]:
    """The model with the adapter added into the layers it changes, and those layers' weights from before and after."""
    adapted = PeftModel.from_pretrained(model, str(adapter))  # prefers safetensors, which `checks` has seen
    before: dict[torch.nn.Module, torch.nn.Parameter] = {}
    for module in adapted.modules():
        if isinstance(module, BaseTunerLayer):
            base: Any = module.get_base_layer()
            before[base] = torch.nn.Parameter(base.weight.detach().clone(), requires_grad=False)
    merged: Any = adapted
    merged = merged.merge_and_unload(safe_merge=True)
    merged = merged.eval().requires_grad_(requires_grad=False)
    return merged, [
        Changed(layer, base_weight, cast("torch.nn.Parameter", layer.weight)) for layer, base_weight in before.items()
    ]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
