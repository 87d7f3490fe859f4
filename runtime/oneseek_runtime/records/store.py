"""The port behind which records are kept: what the app needs of a store, whatever keeps it.

SQLite is the store of one pod (`sqlite`), Firestore the one of a Google Cloud project (`firestore`). What every store
owes:

- `append` is atomic and durable: all entries of one call with all their blocks and documents, or none of anything; it
  returns when a crash can no longer lose them. Calls may come at any rate and at once; a store groups them as it likes.
- An entry's key is its identity. A key that stands there already is answered with the receipt of what stands there and
  `appended=False`, and nothing is written again, neither block nor document; with other content it is an
  IdempotencyConflictError. An entry without a block (`kind` None) is known by its first document instead.
- Blocks are made by `chain.Chain.stage` (numbers without gaps, each after the last durable one) and kept as their
  canonical line: the line is the truth, fields beside it are for readers.
- Documents are kept under (collection, id), newest last; `documents` lists them newest first. Which of their fields are
  times stands in `documents.TIMES`; however those are kept, they are given back as the ISO text.
- `verify` reads everything again from where it lies, in bounded memory, and never only what the process remembers.
- Nothing is appended before the ledger was read whole and found to be what its last checkpoint saw. A store whose
  database can be away opens all the same: until that is done `head` and `append` raise AwayError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oneseek_core.ledger import Verdict

__all__ = ["Document", "Entry", "Head", "Receipt", "Store"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a collection: JSON text, see `documents`."""

    collection: str
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to record. The same key is the same thing: recording it again gives the block it already has.

    Without a `kind` there is no block, only documents.
    """

    key: str
    kind: str | None
    content: Mapping[str, Any]
    happened_at: str | None = None
    documents: tuple[Document, ...] = ()
    """What is kept beside the block, not in it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an entry durably stands; number and hash are None without a block. `appended`: it was not there before."""

    number: int | None
    hash: str | None
    appended: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The durable ledger at one moment. `size` is its height: blocks 0 to size - 1."""

    size: int
    hash: str
    root: bytes
    timestamp: str
    kind: str
    note: str
    """The checkpoint; signed where there is a key."""
    signed: bool


class Store(Protocol):
    """Append-only records. Errors are those of `errors`; ValueError where a block or a size does not exist."""

    @property
    def head(self) -> Head:
        """The newest durable state."""

    @property
    def failure(self) -> str | None:
        """Why nothing can be appended until a restart; None while all is well."""

    @property
    def away(self) -> str | None:
        """Why nothing can be appended just now, though it will go on by itself; None while all is well."""

    async def append(self, entries: Sequence[Entry]) -> tuple[list[Receipt], Head]:
        """Record all entries or none; returns once they are durable."""

    async def blocks(self, first: int, limit: int) -> list[bytes]:
        """Canonical lines from a block number on."""

    async def documents(self, collection: str, limit: int) -> list[Document]:
        """The newest documents of a collection, newest first."""

    async def checkpoints(self) -> list[str]:
        """The kept checkpoints, oldest first."""

    async def verify(self) -> Verdict:
        """Read the whole ledger again and check it, with every kept checkpoint."""

    def inclusion(self, number: int, size: int) -> tuple[bytes, bytes, list[bytes]]:
        """(leaf hash, root at `size`, proof that the block is in it)."""

    def consistency(self, old: int, new: int) -> tuple[bytes, bytes, list[bytes]]:
        """(root at `old`, root at `new`, proof that one goes on from the other)."""

    def statistics(self) -> dict[str, Any]:
        """`kinds`: blocks of each type. `commits`: transactions since the start."""

    def close(self) -> None:
        """Make durable what waits, and let go."""
