"""Greedy answers to many prompts at once, and the loss on reference answers. No I/O beside the device.

Decoding reads every weight once per token whatever the number of rows, so rows are answered together: 24 questions
to SmolLM2-135M took 6.5 s on two busy cores where one after the other would take 90 s. Shorter prompts are padded on
their left and the padding is masked. That is the engine's arithmetic in another order: in bf16 an answer may differ
from the engine's where two tokens are as good as equally likely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode
from oneseek_runtime.engine.loading import Parts, context_of, end_tokens
from oneseek_runtime.evaluate.scoring import Loss
from oneseek_runtime.prepare.heldout import HeldoutRow
from oneseek_runtime.prompt import SpecialTokenError, TemplateRefusedError, prompt_ids, user_message
from oneseek_runtime.train.data import Example, examples_of, pack
from oneseek_runtime.train.model import predict

__all__ = ["answers_of", "batches", "greedy", "losses_of"]

_BATCH_ROWS = 32
_PAD_TOLERANCE = 0.05  # relative; bf16's own noise is about 0.01
_PAD_STEPS = 8
_BATCH_TOKENS = 16384  # rows x (longest prompt + answer): bounds the memory of keys, values and activations


def answers_of(parts: Parts, rows: Sequence[HeldoutRow], maximum_new_tokens: int) -> list[str]:
    """The model's answer to each question, in their order; generation ends with the turn or at the limit.

    Raises:
        JobError: a question leaves no room for an answer, or the model's output is no number (Diverged).
    """
    context = context_of(parts.model)
    prompts = []
    for row in rows:
        try:
            prompt = prompt_ids(parts.tokenizer, [user_message(row.question)])
        except (TemplateRefusedError, SpecialTokenError) as error:
            sentence = f"line {row.line} of the held-out set: its question cannot be asked: {error}"
            raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT) from error
        if len(prompt) >= context:
            sentence = (
                f"line {row.line} of the held-out set: the question has {len(prompt)} tokens, but the model's context"
                f" is {context}: shorten it"
            )
            raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT)
        prompts.append(prompt)
    answers = [""] * len(rows)
    for index, tokens in enumerate(greedy(parts, prompts, maximum_new_tokens)):
        answers[index] = str(
            parts.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ).strip()
    return answers


def greedy(parts: Parts, prompts: Sequence[Sequence[int]], maximum_new_tokens: int) -> list[list[int]]:
    """The likeliest answers' tokens, in the prompts' order."""
    answers: list[list[int]] = [[] for _ in prompts]
    rows = _BATCH_ROWS if _can_pad(parts.model, prompts, maximum_new_tokens) else 1
    for batch in batches([len(prompt) for prompt in prompts], maximum_new_tokens, rows):
        made = _generate(parts, [prompts[index] for index in batch], maximum_new_tokens)
        for index, tokens in zip(batch, made, strict=True):
            answers[index] = tokens
    return answers


def _can_pad(model: Any, prompts: Sequence[Sequence[int]], maximum_new_tokens: int) -> bool:
    """Whether padding leaves this model's results alone; tried, not guessed: some classes take it for text."""
    short, long = min(prompts, key=len), max(prompts, key=len)
    if len(short) == len(long):
        return True
    steps = min(_PAD_STEPS, maximum_new_tokens)
    alone = _logits_along(model, [short], steps, None)
    try:
        together = _logits_along(model, [short, long], steps, alone.argmax(dim=-1).tolist())
    except Exception:  # noqa: BLE001 - what a model of another kind raises is not ours to foresee
        return False
    return bool((together - alone).norm() <= _PAD_TOLERANCE * alone.norm())


def _logits_along(model: Any, prompts: Sequence[Sequence[int]], steps: int, answer: Sequence[int] | None) -> Tensor:
    """The first prompt's logits `[steps x vocabulary]` along an answer; None: along its likeliest one."""
    tokens, mask, positions = _padded(model, prompts)
    cache = DynamicCache(config=model.config)
    found: list[Tensor] = []
    for step in range(steps):
        with torch.inference_mode():
            seen = model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        found.append(seen.logits[0, -1].float())
        tokens = torch.full_like(tokens[:, :1], int(found[-1].argmax()) if answer is None else answer[step])
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return torch.stack(found)


def _padded(model: Any, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, attention mask and positions `[prompts x longest]`, padded on the left."""
    width = max(len(prompt) for prompt in prompts)
    pads = [width - len(prompt) for prompt in prompts]
    tokens = _rows([[0] * pad + list(prompt) for pad, prompt in zip(pads, prompts, strict=True)], model)
    mask = _rows([[0] * pad + [1] * (width - pad) for pad in pads], model)
    return tokens, mask, (mask.cumsum(dim=1) - 1).clamp(min=0)


def batches(lengths: Sequence[int], maximum_new_tokens: int, rows: int = _BATCH_ROWS) -> Iterator[list[int]]:
    """Indices of prompts to answer together, `rows` at the most: like lengths beside each other, so that little is padded."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (lengths[index], index)):
        tokens = (len(batch) + 1) * (lengths[index] + maximum_new_tokens)  # this prompt is the longest so far
        if batch and (len(batch) == rows or tokens > _BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _generate(parts: Parts, prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
    """The likeliest next token, again and again, for all prompts together; without the token that ends a turn."""
    model, ends, context = parts.model, end_tokens(parts.model, parts.tokenizer), context_of(parts.model)
    tokens, mask, positions = _padded(model, prompts)
    cache = DynamicCache(config=model.config)
    made: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    for _ in range(limit):
        with torch.inference_mode():
            seen = model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            logits = seen.logits[:, -1].float()
            if bool(logits.isnan().any()):
                raise _diverged("its output for a held-out question is NaN")
            chosen = logits.argmax(dim=-1)
        for row, token in enumerate(chosen.tolist()):
            if row not in open_rows:
                continue
            if token not in ends:
                made[row].append(token)
            if token in ends or len(prompts[row]) + len(made[row]) >= context:
                open_rows.remove(row)
        if not open_rows:
            break
        tokens = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
        positions = (positions[:, -1:] + 1).clamp(max=context - 1)  # of rows that ended nothing is kept
    return made


def losses_of(parts: Parts, rows: Sequence[HeldoutRow], maximum_length: int) -> list[Loss | None]:
    """The loss on each row's reference answer, cut at `maximum_length` tokens as in training.

    None for a row without one, or whose question fills that length.

    Raises:
        JobError: a loss is no finite number (Diverged).
    """
    length = min(maximum_length, context_of(parts.model))
    losses: list[Loss | None] = []
    for row in rows:
        example = _example(parts, row, length)
        if example is None:
            losses.append(None)
            continue
        (part,) = pack([example], 0)
        with torch.inference_mode():
            logits = predict(parts.model, part).float()
            targets = torch.tensor(part.label_ids, device=logits.device)
            nats = cross_entropy(logits, targets, reduction="sum")
        if not bool(nats.isfinite()):
            raise _diverged(f"its loss on the answer in line {row.line} of the held-out set is {float(nats)}")
        losses.append(Loss(float(nats), len(part.label_ids)))
    return losses


def _example(parts: Parts, row: HeldoutRow, length: int) -> Example | None:
    if row.output is None:
        return None
    try:
        (example,) = examples_of([{"instruction": row.question, "output": row.output}], parts.tokenizer, length)
    except JobError as error:
        if error.reason != names.DATASET_INVALID:
            raise
        return None
    return example


def _rows(values: list[list[int]], model: Any) -> Tensor:
    return torch.tensor(values, device=model.device)


def _diverged(what: str) -> JobError:
    sentence = f"the trained model cannot be measured: {what}; lower learningRate, or look for broken rows in the data"
    return JobError(names.DIVERGED, sentence, ExitCode.DIVERGED)
