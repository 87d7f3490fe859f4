"""The ledger: an append-only chain of what happened to a model, in the block format that old readers verify.

A block's canonical line is compact JSON in a fixed key order. Without its last key (`hash`) it is exactly the text
that was hashed, so nothing is ever rendered again to be checked, and times stay the ISO text they were hashed as.
Lines in, lines out: reading and writing belongs to the records service. The Merkle tree above it is in `merkle`,
finding out what was done to a tampered copy in `audit`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from oneseek_core.errors import OneSeekError

__all__ = [
    "Block",
    "BlockError",
    "Defect",
    "Verdict",
    "first_block",
    "from_copy",
    "next_block",
    "parse_block",
    "read_chain",
    "to_copy",
    "verify_chain",
]

NO_PREVIOUS = "0" * 64
NONCE = 0
GENESIS = "genesis"

# Why a block is no good. The first two are the old service's own words, which its clients print.
HASH_MISMATCH = "Hash mismatch"
PREVIOUS_HASH_MISMATCH = "Previous hash mismatch"
NUMBER_MISMATCH = "Block number mismatch"
NOT_CANONICAL = "Not canonical"  # no JSON, other bytes than ours for the same JSON, a key twice, missing or too many

_BLOCK_KEYS = ["blockNumber", "previousHash", "data", "timestamp", "nonce", "hash"]
_DATA_KEYS = ["type", "content", "timestamp"]
_GENESIS_KEYS = ["type", "message", "timestamp"]
_HASH_SUFFIX = len(',"hash":"') + 64 + len('"}')  # characters of the line that are not hashed, less the brace
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")  # JavaScript reorders keys that are numbers, and then hashes other bytes
_LARGEST_INTEGER = 2**53 - 1  # beyond it JavaScript rounds

_sha256 = hashlib.sha256


class BlockError(OneSeekError):
    """Something is no block, or cannot become one. `reason` is one of the constants above."""

    def __init__(self, reason: str, message: str, *, expected: str = "", actual: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.expected = expected
        self.actual = actual


class Block(NamedTuple):
    """One entry. `line` is the truth (stored, copied, hashed into the tree); the rest is read from it.

    Law: `parse_block(block.line) == block`.
    """

    number: int
    previous_hash: str
    data: Mapping[str, Any]
    timestamp: str
    hash: str
    line: bytes


def first_block(message: str, at: str) -> Block:
    """The genesis block: number 0, no predecessor. `at` as in `next_block`."""
    return _make(0, NO_PREVIOUS, {"type": GENESIS, "message": message, "timestamp": _checked_time(at)}, at)


def next_block(
    previous: Block, *, kind: str, content: Mapping[str, Any], at: str, happened_at: str | None = None
) -> Block:
    """The block after `previous`. `at` (UTC, ms, Z) is when it is recorded, `happened_at` what its data says.

    The clock of a machine may step back; a block's time never does.

    Raises:
        BlockError: the content has a value that old readers would hash differently, or a time is no time.
    """
    _check_value(content)
    recorded = max(_checked_time(at), previous.timestamp)
    data = {"type": kind, "content": dict(content), "timestamp": _checked_time(happened_at or at)}
    return _make(previous.number + 1, previous.hash, data, recorded)


def _make(number: int, previous_hash: str, data: Mapping[str, Any], timestamp: str) -> Block:
    fields = dict(zip(_BLOCK_KEYS, (number, previous_hash, data, timestamp, NONCE), strict=False))
    body = to_json(fields)
    digest = _sha256(body).hexdigest()
    return Block(number, previous_hash, data, timestamp, digest, body[:-1] + b',"hash":"' + digest.encode() + b'"}')


def _checked_time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise BlockError(NOT_CANONICAL, f"{text!r} is not a time of the form 2025-11-30T12:00:00.000Z")
    return text


def _check_value(value: Any) -> None:
    """Only what JavaScript and Python render alike: text, whole numbers, true, false, null, lists, objects."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise BlockError(NOT_CANONICAL, f"{key!r} cannot be a key in a block")
            _check_value(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_value(item)
    elif isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise BlockError(NOT_CANONICAL, "a text in a block has half a character (a lone surrogate)")
    elif isinstance(value, float) or not (value is None or isinstance(value, int)):
        raise BlockError(NOT_CANONICAL, f"a block cannot hold {value!r}, a {type(value).__name__}")
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise BlockError(NOT_CANONICAL, f"{value} is too large for old readers")


def parse_block(line: bytes) -> Block:
    """Read a canonical line (without its newline). Strict: other bytes for the same JSON are no block.

    Raises:
        BlockError: with `reason` NOT_CANONICAL or HASH_MISMATCH.
    """
    try:
        value = from_json(line, allow_inf_nan=False)
        # Equal bytes prove it canonical: another form of the same JSON, or a key given twice, renders otherwise.
        canonical = type(value) is dict and list(value) == _BLOCK_KEYS and to_json(value) == line
    except ValueError as error:
        raise BlockError(NOT_CANONICAL, f"the line is no JSON: {error}") from error
    if not canonical:
        raise BlockError(NOT_CANONICAL, "the line is JSON, but not a block in its canonical bytes")
    number, previous_hash, data, timestamp, nonce, stored = value.values()
    keys = list(data) if type(data) is dict else []
    if (
        type(number) is not int
        or type(previous_hash) is not str
        or type(timestamp) is not str
        or type(nonce) is not int
        or type(stored) is not str
        or nonce != NONCE
        or keys not in (_DATA_KEYS, _GENESIS_KEYS)
    ):
        raise BlockError(NOT_CANONICAL, "the line is JSON, but a block's fields are of other types")
    digest = _sha256(line[:-_HASH_SUFFIX] + b"}").hexdigest()
    if stored != digest:
        raise BlockError(HASH_MISMATCH, f"block {number} does not have its hash", expected=digest, actual=stored)
    return Block(number, previous_hash, data, timestamp, stored, line)


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong with blocks `first` to `last` (numbers). `lines` are places in the copy, from 0; empty: not there."""

    reason: str
    first: int
    last: int
    message: str
    lines: tuple[int, ...] = ()
    expected: str = ""
    actual: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of looking at `height` lines, every one of them."""

    height: int
    defects: tuple[Defect, ...] = ()
    unlisted: int = 0
    """Defects beyond those listed; who reads a ledger of any length in bounded memory must stop listing somewhere."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.defects


def read_chain(lines: Iterable[bytes]) -> Iterator[tuple[Block | None, Defect | None]]:
    """For every line, in order: its block (None where it is none), and what is wrong with it there (None: nothing).

    After a defect the next line is judged by the line before it, so one bad block gives one defect. A hash field
    that alone was changed is the fault of its own block, not of the successor that still names the right one.
    """
    number, hashes = 0, (NO_PREVIOUS, NO_PREVIOUS)
    for place, line in enumerate(lines):
        try:
            block = parse_block(line)
        except BlockError as error:
            yield None, Defect(error.reason, number, number, str(error), (place,), error.expected, error.actual)
            number, hashes = number + 1, (error.expected, error.actual)
            continue
        defect = None
        if block.number != number:
            sentence = f"line {place + 1} holds block {block.number} where block {number} belongs"
            defect = Defect(NUMBER_MISMATCH, number, number, sentence, (place,), str(number), str(block.number))
        elif block.previous_hash not in hashes and hashes[0]:
            sentence = f"block {number} does not follow the block before it"
            defect = Defect(PREVIOUS_HASH_MISMATCH, number, number, sentence, (place,), hashes[0], block.previous_hash)
        yield block, defect
        number, hashes = block.number + 1, (block.hash, block.hash)


def verify_chain(lines: Iterable[bytes]) -> Verdict:
    """Check every line's bytes, hash, number and predecessor, however many there are."""
    height = 0
    defects = []
    for _, defect in read_chain(lines):
        height += 1
        if defect:
            defects.append(defect)
    return Verdict(height, tuple(defects))


def to_copy(lines: Iterable[bytes]) -> bytes:
    """The offline copy of a ledger: its canonical lines, each with its newline. Law: `from_copy(to_copy(x)) == x`."""
    return b"".join(line + b"\n" for line in lines)


def from_copy(data: bytes) -> list[bytes]:
    """The lines of an offline copy. What follows the last newline is a line too, marked so that it is no block."""
    lines = data.split(b"\n")
    cut = lines.pop()
    return [*lines, cut + b"\0"] if cut else lines
