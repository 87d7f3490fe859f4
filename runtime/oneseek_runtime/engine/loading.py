"""[I/O] From folders to a model: the base, and an adapter added into it. The engine serves it, evaluate measures it.

Number format: bf16 on GPUs and on CPUs with AVX-512, else fp32; `ONESEEK_PRECISION` overrides it. Decoding reads every
weight once per token, so half the bytes is what counts: SmolLM2-135M on two busy cores took 96 ms a token at best in
bf16 and 122 ms in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from oneseek_core.names import ExitCode
from oneseek_runtime.engine.adapters import Skeleton, put_into
from oneseek_runtime.engine.basefiles import BaseChangedError, UnusableBaseError, own_files
from oneseek_runtime.engine.errors import EngineStartError
from oneseek_runtime.engine.pretrained import load_config, load_model, load_tokenizer

__all__ = ["Parts", "context_of", "end_tokens", "load_parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What lies in the folders, loaded. The model answers with the adapter, where there is one."""

    model: Any
    tokenizer: Any


def context_of(model: Any) -> int:
    """The most tokens of prompt and answer together."""
    return int(getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", 0) or 2**31)


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a turn: the model's, its generation settings' and the tokenizer's."""
    ends: set[int] = set()
    text = model.config.get_text_config(decoder=True)
    for value in (model.generation_config.eos_token_id, text.eos_token_id, tokenizer.eos_token_id):
        ends.update([value] if isinstance(value, int) else value or [])
    return frozenset(ends)


def load_parts(
    *,
    base: Path,
    base_name: str,
    adapter: Path | None,
    precision: Literal["auto", "bf16", "fp32"],
    threads: int,
    base_digest: str | None = None,
) -> Parts:
    """Load from local folders; no code of theirs runs, no pickle is read. The base is that of the digest, where one is given.

    Raises:
        EngineStartError: transformers or peft cannot make a model of the files.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fast_bf16 = device.type == "cuda" or "AVX512" in torch.backends.cpu.get_cpu_capability()
    dtype = torch.bfloat16 if precision == "bf16" or (precision == "auto" and fast_bf16) else torch.float32
    try:
        with own_files(base, base_digest) as files:
            config = load_config(files)
            tokenizer = load_tokenizer(files, config)
            model = load_model(files, config, dtype)
    except UnusableBaseError as error:
        sentence = f"the base model in {base} cannot be loaded: {error}"
        changed = isinstance(error, BaseChangedError)
        raise EngineStartError(sentence, ExitCode.DIGEST_DIFFERS if changed else ExitCode.BAD_INPUT) from error
    model = model.to(device).eval().requires_grad_(requires_grad=False)
    if adapter is not None:
        put_into(model, Skeleton(model, base_name).weights_with(adapter))
    return Parts(model, tokenizer)
