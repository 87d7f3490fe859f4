"""The port behind which records are kept: what the app needs of a store, whatever keeps it.

SQLite is the store of one pod (`sqlite`); a Firestore one belongs beside it, behind this same protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oneseek_core.ledger import Verdict

__all__ = ["Entry", "Head", "Receipt", "Store"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to record. The same key is the same thing: recording it again gives the block it already has."""

    key: str
    kind: str
    content: Mapping[str, Any]
    happened_at: str | None = None
    document: str | None = None
    """JSON that is kept beside the block (a query with its provenance), not in it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an entry durably stands. `appended` is False where it stood there before."""

    number: int
    hash: str
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

    async def append(self, entries: Sequence[Entry]) -> tuple[list[Receipt], Head]:
        """Record all entries or none; returns once they are durable."""

    async def blocks(self, first: int, limit: int) -> list[bytes]:
        """Canonical lines from a block number on."""

    async def queries(self, limit: int) -> list[str]:
        """The newest queries' documents, newest first."""

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
