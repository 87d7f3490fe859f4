"""Ledgers for tests: real chains of transitions and queries, their checkpoints, and every way to tamper with a copy."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oneseek_core.checkpoint import Checkpoint
from oneseek_core.ledger import Block, first_block, next_block
from oneseek_core.ledger_entries import Subject, Transition, query_content
from oneseek_core.merkle import Tree

AT = "2025-11-30T12:00:00.000Z"
ORIGIN = "oneseek.io/team/demo"
SUBJECT = Subject(kind="OneSeekModel", namespace="team", name="demo", uid="6f1c")


def transition(key: str, **changes: Any) -> Transition:
    """A promotion by Åsa."""
    told = {
        "type": "promote",
        "idempotencyKey": key,
        "actor": {"name": "åsa@example.org", "verified": True},
        "object": SUBJECT.to_wire(),
        "to": "OneSeek-7B-Zero.v1.2.sv.dsCivicID.8f3a1c9d.2e7f4b1a",
        "reason": "Serving",
    }
    return Transition.model_validate(told | changes)


def chain(length: int, *, after: Block | None = None, tag: str = "") -> list[Block]:
    """`length` blocks: a genesis block first unless they follow `after`; every third one a query."""
    blocks = [after] if after else [first_block("the ledger of team/demo", AT)]
    while len(blocks) < length + (after is not None):
        key = f"{tag}{blocks[-1].number + 1}"
        if blocks[-1].number % 3:
            entry = transition(key)
            blocks.append(next_block(blocks[-1], kind=entry.type, content=entry.content(), at=AT))
        else:
            content = query_content(key, "Vem är du?", None)
            blocks.append(next_block(blocks[-1], kind="query", content=content, at=AT))
    return blocks[after is not None :]


def seeded(seed: int) -> random.Random:
    """Dice that fall the same way each time."""
    return random.Random(seed)  # noqa: S311 - tampering in tests is no cryptography


def lines_of(blocks: list[Block]) -> list[bytes]:
    return [block.line for block in blocks]


def checkpoint(blocks: list[Block], size: int) -> Checkpoint:
    """The checkpoint of the first `size` blocks."""
    tree = Tree()
    for block in blocks[:size]:
        tree.append(block.line)
    return Checkpoint(ORIGIN, size, tree.root(), blocks[size - 1].hash)


@dataclass(frozen=True)
class Mutation:
    """A tampered copy, and where: block numbers `first` to `last`, lines of the copy (None: whatever they are)."""

    kind: str
    lines: list[bytes]
    first: int
    last: int
    places: tuple[int, ...] | None = None
    bounded: bool = False
    signed: Checkpoint | None = None
    """The checkpoint that the attacker signed with the real key and put beside the copy."""


def flip(blocks: list[Block], dice: random.Random, *, at: tuple[int, int] | None = None) -> Mutation:
    """One byte of one block becomes another."""
    lines = lines_of(blocks)
    place = dice.randrange(len(lines)) if at is None else at[0]
    offset = dice.randrange(len(lines[place])) if at is None else at[1]
    changed = bytearray(lines[place])
    changed[offset] ^= 1 << dice.randrange(8)
    lines[place] = bytes(changed)
    return Mutation("flip", lines, place, place, (place,))


def delete(blocks: list[Block], dice: random.Random) -> Mutation:
    """A block is taken out of the middle (out of the end it would be a truncation)."""
    lines = lines_of(blocks)
    place = dice.randrange(len(lines) - 1)
    del lines[place]
    return Mutation("delete", lines, place, place, ())


def insert(blocks: list[Block], dice: random.Random) -> Mutation:
    """A block with a right number, predecessor and hash is put in, also after the last."""
    place = dice.randrange(1, len(blocks) + 1)
    false = chain(1, after=blocks[place - 1], tag="false-")[0]
    lines = lines_of(blocks)
    lines.insert(place, false.line)
    return Mutation("insert", lines, place, place, (place,))


def swap(blocks: list[Block], dice: random.Random) -> Mutation:
    """Two blocks change places."""
    one, two = sorted(dice.sample(range(len(blocks)), 2))
    lines = lines_of(blocks)
    lines[one], lines[two] = lines[two], lines[one]
    return Mutation("swap", lines, one, two, (one, two))


def replay(blocks: list[Block], dice: random.Random) -> Mutation:
    """A block is there again: its very bytes somewhere, or its entry in a new, well-formed block at the end."""
    source = dice.randrange(1, len(blocks))
    lines = lines_of(blocks)
    if dice.random() < 0.3:
        data = blocks[source].data
        again = next_block(blocks[-1], kind=data["type"], content=data["content"], at=AT)
        return Mutation("replay", [*lines, again.line], len(lines), len(lines), (len(lines),))
    place = dice.choice([p for p in range(len(blocks) + 1) if p not in (source, source + 1)])
    lines.insert(place, blocks[source].line)
    return Mutation("replay", lines, source, source, (place,))


def fork(blocks: list[Block], dice: random.Random) -> Mutation:
    """A second history of one or more blocks leaves the first; both are in the copy. Or it replaces one block."""
    start = dice.randrange(1, len(blocks) - 1)
    branch = lines_of(chain(dice.randrange(1, 4), after=blocks[start - 1], tag="fork-"))
    lines = lines_of(blocks)
    if dice.random() < 0.3:
        lines[start] = branch[0]
        return Mutation("fork", lines, start, start, (start,))
    last = start + len(branch) - 1
    return Mutation("fork", lines + branch, start, last, tuple(range(len(lines), len(lines) + len(branch))))


def truncate(blocks: list[Block], dice: random.Random) -> Mutation:
    """The tail is cut off."""
    size = dice.randrange(1, len(blocks))
    return Mutation("truncate", lines_of(blocks)[:size], size, len(blocks) - 1, bounded=True)


def rewrite(blocks: list[Block], dice: random.Random) -> Mutation:
    """From some block on another history, well-formed, with a checkpoint signed by the real key; maybe shorter."""
    start = dice.randrange(1, len(blocks) - 1)
    count = dice.randrange(1, len(blocks) - start + 1)
    history = blocks[:start] + chain(count, after=blocks[start - 1], tag="rewritten-")
    signed = checkpoint(history, len(history)) if dice.random() < 0.8 else None
    return Mutation("rewrite", lines_of(history), start, len(blocks) - 1, bounded=True, signed=signed)


MUTATIONS: tuple[Callable[[list[Block], random.Random], Mutation], ...] = (
    flip, delete, insert, swap, replay, fork, truncate, rewrite,
)  # fmt: skip
