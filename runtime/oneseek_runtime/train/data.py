"""Rows to token batches: what is learnt, in which order, packed how.

Pure: equal rows, tokenizer and seed give equal batches, so a resumed run sees the data an unbroken one sees.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode
from oneseek_runtime.prompt import (
    Message,
    SpecialTokenError,
    TemplateRefusedError,
    Tokenizer,
    prompt_ids,
    text_ids,
    user_message,
)

__all__ = ["Example", "Lessons", "Pack", "epoch_batches", "examples_of", "lessons_of", "pack"]


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens of a conversation: the prompt, then the answer; only answers are learnt.

    `asked` are later turns of the same conversation that are no answers: (start, end) in `tokens`.
    """

    tokens: tuple[int, ...]
    prompt_length: int
    asked: tuple[tuple[int, int], ...] = ()

    @property
    def learnt(self) -> tuple[int, ...]:
        """Where the answers' tokens are, the end-of-text token of each included unless it was cut off."""
        skipped = {index for start, end in self.asked for index in range(start, end)}
        return tuple(index for index in range(self.prompt_length, len(self.tokens)) if index not in skipped)

    @property
    def labels(self) -> tuple[int, ...]:
        """The tokens that are learnt."""
        return tuple(self.tokens[index] for index in self.learnt)


@dataclass(slots=True)
class Lessons:
    """What there is to learn from all rows, and what became of each: learnt (some cut), or left out by reason."""

    examples: list[Example] = field(default_factory=list)
    rows: int = 0
    cut: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    micro_steps: set[str] = field(default_factory=set)


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


def lessons_of(rows: Iterable[Mapping[str, Any]], tokenizer: Tokenizer, maximum_length: int) -> Lessons:
    """Tokenise conversations, cut at `maximum_length` tokens; the loss is on the assistant's turns alone.

    A row of which no token of an answer is left teaches nothing and is left out, and so is one that cannot be put into
    the model's form.

    Raises:
        JobError: a row is no conversation, none has an answer left, or the tokenizer has no end-of-text token.
    """
    if tokenizer.eos_token_id is None:
        sentence = "the base model's tokenizer has no end-of-text token, so an answer could never learn to end"
        raise JobError(names.BASE_INVALID, sentence, ExitCode.BAD_INPUT)
    found = Lessons()
    for number, row in enumerate(rows, start=1):
        turns = _turns(number, row)
        try:
            whole = _conversation(turns, tokenizer, tokenizer.eos_token_id)
        except (TemplateRefusedError, SpecialTokenError) as error:
            refused = isinstance(error, TemplateRefusedError)
            found.left_out[names.LEFT_OUT_TEMPLATE if refused else names.LEFT_OUT_SPECIAL] += 1
            continue
        examples = [_cut(example, maximum_length) for example in whole if example.prompt_length < maximum_length]
        if not examples:
            found.left_out[names.LEFT_OUT_TOO_LONG] += 1
            continue
        found.rows += 1
        if step := row.get("step"):
            found.micro_steps.add(step)
        found.cut += examples != whole
        found.examples += examples
    if not found.examples:
        raise JobError(names.DATASET_INVALID, _nothing_left(found, maximum_length), ExitCode.BAD_INPUT)
    return found


def examples_of(rows: Iterable[Mapping[str, Any]], tokenizer: Tokenizer, maximum_length: int) -> list[Example]:
    """The examples of `lessons_of`."""
    return lessons_of(rows, tokenizer, maximum_length).examples


def _turns(number: int, row: Mapping[str, Any]) -> list[Message]:
    """A row's conversation. The release before wrote rows of instruction, input (may be absent) and output."""
    turns = row.get("messages")
    if turns is None:
        extra = row.get("input") or ""
        turns = [
            {"role": "user", "content": row.get("instruction")},
            {"role": "assistant", "content": row.get("output")},
        ]
        if isinstance(extra, str) and isinstance(turns[0]["content"], str):
            turns[0] = user_message(turns[0]["content"], extra)
    if not turns or not all(isinstance(turn.get(key), str) for turn in turns for key in ("role", "content")):
        sentence = f"line {number} of the prepared data has no text in instruction and output, or in messages"
        raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT)
    return list(turns)


def _conversation(turns: Sequence[Message], tokenizer: Tokenizer, eos: int) -> list[Example]:
    """Each answer after the prompt that the model is given when it serves, and its end.

    A later prompt that begins with all that came before goes on in the same sequence. Where a template writes earlier
    turns in another form (some drop an earlier answer's reasoning), it begins a sequence of its own.
    """
    found: list[Example] = []
    for index, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        prompt = tuple(prompt_ids(tokenizer, turns[:index]))
        answer = (*text_ids(tokenizer, turn["content"]), eos)
        last = found[-1] if found else None
        if last and prompt[: len(last.tokens)] == last.tokens:
            asked = (*last.asked, (len(last.tokens), len(prompt)))
            found[-1] = Example((*prompt, *answer), last.prompt_length, asked)
        else:
            found.append(Example((*prompt, *answer), len(prompt)))
    return found


def _cut(example: Example, maximum_length: int) -> Example:
    if len(example.tokens) <= maximum_length:
        return example
    asked = tuple((start, min(end, maximum_length)) for start, end in example.asked if start < maximum_length)
    return Example(example.tokens[:maximum_length], example.prompt_length, asked)


def _nothing_left(found: Lessons, maximum_length: int) -> str:
    sentence = f"no row has an answer within maximumLength={maximum_length} tokens; raise it or shorten the prompts"
    others = {reason: rows for reason, rows in found.left_out.items() if reason != names.LEFT_OUT_TOO_LONG}
    if not others:
        return sentence
    listed = ", ".join(f"{rows} {reason}" for reason, rows in sorted(found.left_out.items()))
    return f"no row is left to train on ({listed}); {_REMEDIES[min(others)]}"


_REMEDIES = {
    names.LEFT_OUT_TEMPLATE: "write them in the roles and the order that the base model's chat template takes",
    names.LEFT_OUT_SPECIAL: "take the names of the base model's control tokens out of the texts",
}


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
        label_positions += [offset + index - 1 for index in row.learnt]
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
