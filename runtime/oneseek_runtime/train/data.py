"""Rows to token batches: what is learnt, in which order, packed how.

Pure: equal rows, tokenizer and seed give equal batches, so a resumed run sees the data an unbroken one sees.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode
from oneseek_runtime.prompt import TemplateRefusedError, Tokenizer, prompt_ids, user_message

__all__ = ["Example", "Pack", "epoch_batches", "examples_of", "pack"]


@dataclass(frozen=True, slots=True)
class Example:
    """One row as tokens: the prompt, then the answer; only the answer is learnt."""

    tokens: tuple[int, ...]
    prompt_length: int

    @property
    def labels(self) -> tuple[int, ...]:
        """The answer's tokens, its end-of-text token included unless it was cut off."""
        return self.tokens[self.prompt_length :]


@dataclass(frozen=True, slots=True)
class Pack:
    """Several rows in one sequence without padding: `[shared prefix | row 0's rest | row 1's rest | ...]`.

    The prefix that all rows begin with (the template's system turn) stands there once; each row sees the prefix and
    itself, never another row. `lengths` are those of the rests; `label_positions` index the sequence where the hidden
    state predicts the token of `label_ids` at the same place in that list.
    """

    token_ids: list[int]
    positions: list[int]
    shared: int
    lengths: list[int]
    label_positions: list[int]
    label_ids: list[int]


def examples_of(rows: Iterable[Mapping[str, object]], tokenizer: Tokenizer, maximum_length: int) -> list[Example]:
    """Tokenise rows of instruction, input (may be absent) and output, cut at `maximum_length` tokens.

    A row whose prompt alone fills the length teaches nothing and is left out.

    Raises:
        JobError: a row lacks a field, no row has an answer left, or the tokenizer has no end-of-text token.
    """
    eos = tokenizer.eos_token_id
    if eos is None:
        sentence = "the base model's tokenizer has no end-of-text token, so an answer could never learn to end"
        raise JobError(names.BASE_INVALID, sentence, ExitCode.BAD_INPUT)
    found = []
    for number, row in enumerate(rows, start=1):
        instruction, extra, output = row.get("instruction"), row.get("input") or "", row.get("output")
        if not (isinstance(instruction, str) and isinstance(extra, str) and isinstance(output, str)):
            sentence = f"line {number} of the prepared data has no text in instruction and output"
            raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT)
        try:
            prompt = prompt_ids(tokenizer, [user_message(instruction, extra)])
        except TemplateRefusedError as error:
            sentence = f"line {number} of the prepared data: the model's chat template refuses it: {error}"
            raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT) from error
        answer = [int(i) for i in tokenizer(output, add_special_tokens=False)["input_ids"]]
        tokens = (*prompt, *answer, eos)[:maximum_length]
        if len(tokens) > len(prompt):
            found.append(Example(tokens, len(prompt)))
    if not found:
        sentence = f"no row has an answer within maximumLength={maximum_length} tokens; raise it or shorten the prompts"
        raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT)
    return found


def epoch_batches(examples: Sequence[Example], *, batch_size: int, seed: int, epoch: int) -> list[list[Example]]:
    """The epoch's optimiser steps: every example once, shuffled by (seed, epoch) alone."""
    order = list(range(len(examples)))
    random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 - no secret; a text seed is stable across processes
    return [[examples[i] for i in order[start : start + batch_size]] for start in range(0, len(order), batch_size)]


def pack(batch: Sequence[Example], maximum_tokens: int) -> Iterator[Pack]:
    """Split a batch into sequences of whole rows, none longer than `maximum_tokens` unless a single row is.

    With `maximum_tokens=0` each row is a sequence of its own, for models that cannot be told where a row begins.
    """
    pending: list[Example] = []
    size = 0
    for example in batch:
        if pending and size + len(example.tokens) > maximum_tokens:
            yield _join(pending)
            pending, size = [], 0
        pending.append(example)
        size += len(example.tokens)
    if pending:
        yield _join(pending)


def _join(rows: Sequence[Example]) -> Pack:
    shared = _shared_prefix(rows) if len(rows) > 1 else 0
    token_ids = list(rows[0].tokens[:shared])
    positions = list(range(shared))
    lengths: list[int] = []
    label_positions: list[int] = []
    label_ids: list[int] = []
    for row in rows:
        offset = len(token_ids) - shared  # where the row's first token would lie, had it its prefix to itself
        token_ids += row.tokens[shared:]
        positions += range(shared, len(row.tokens))
        lengths.append(len(row.tokens) - shared)
        label_positions += range(offset + row.prompt_length - 1, offset + len(row.tokens) - 1)
        label_ids += row.labels
    return Pack(token_ids, positions, shared, lengths, label_positions, label_ids)


def _shared_prefix(rows: Sequence[Example]) -> int:
    """Length of the common beginning, short of every position that predicts a label (it belongs to one row)."""
    limit = min(row.prompt_length for row in rows) - 1
    first = rows[0].tokens
    for index in range(max(limit, 0)):
        if any(row.tokens[index] != first[index] for row in rows):
            return index
    return max(limit, 0)
