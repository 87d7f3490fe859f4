"""What every store does with its chain in memory: the head, proofs, one verification at a time.

A store derives from it, keeps blocks and documents where it keeps them, and tells here what became durable.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from oneseek_core.ledger import Block, Verdict
from oneseek_runtime.records import chain
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.records.store import Head

__all__ = ["ChainedStore"]


class ChainedStore(ABC):
    """The part of `Store` that is the same wherever records lie."""

    def __init__(self, signer: Signer, clock: Callable[[], str]) -> None:
        self._signer, self._clock = signer, clock
        self._chain = chain.Chain()
        self._head = Head(0, "", b"", "", "", "", signed=False)
        self._failure: str | None = None
        self._kinds: dict[str, int] = {}
        self._commits = 0
        self._verifying: asyncio.Task[Verdict] | None = None
        self._turn = asyncio.Lock()

    @property
    def head(self) -> Head:
        """The newest durable state."""
        return self._head

    @property
    def failure(self) -> str | None:
        """Why nothing can be appended until a restart; None while all is well."""
        return self._failure

    @property
    def away(self) -> str | None:
        """Why nothing can be appended just now, though it will go on by itself."""
        return None

    async def verify(self) -> Verdict:
        """Read the whole ledger again from where it lies and check it, at one moment, with every kept checkpoint.

        One at a time: whoever asks while one waits for its turn gets that one's verdict.
        """
        if self._verifying is None:
            self._verifying = asyncio.create_task(self._verify())
        return await asyncio.shield(self._verifying)

    async def _verify(self) -> Verdict:
        async with self._turn:
            self._verifying = None  # who asks from now on may mean blocks that this reading no longer sees
            return await asyncio.to_thread(self._judge)

    @abstractmethod
    def _judge(self) -> Verdict:
        """Read everything and judge it; in a thread of its own."""

    def inclusion(self, number: int, size: int) -> tuple[bytes, bytes, list[bytes]]:
        """(leaf hash, root at `size`, proof that the block is in it); ValueError for no such block or size."""
        self._check(size)
        tree = self._chain.tree
        path = tree.inclusion(number, size)
        return tree.leaf(number), tree.root(size), path

    def consistency(self, old: int, new: int) -> tuple[bytes, bytes, list[bytes]]:
        """(root at `old`, root at `new`, proof that one goes on from the other); ValueError for other sizes."""
        self._check(new)
        tree = self._chain.tree
        path = tree.consistency(old, new)
        return tree.root(old), tree.root(new), path

    def _check(self, size: int) -> None:
        if size > self.head.size:
            raise ValueError(f"the ledger has {self.head.size} blocks, not {size}")

    def statistics(self) -> dict[str, Any]:
        """How many durable blocks of which type, and how many transactions since the start wrote them."""
        return {"kinds": self._kinds, "commits": self._commits}

    def _next_head(self, tip: Block) -> Head:
        """The head, with a checkpoint of ours, once the chain as it is now is durable."""
        note = self._signer.note(tip.number + 1, self._chain.tree.root(), tip.hash)
        return self._head_with(tip, note, signed=self._signer.key is not None)

    def _head_with(self, tip: Block, note: str, *, signed: bool) -> Head:
        root = self._chain.tree.root()
        return Head(tip.number + 1, tip.hash, root, tip.timestamp, str(tip.data["type"]), note, signed)

    def _became_durable(self, head: Head) -> None:
        """What readers see from now on."""
        self._head = head
        self._kinds = self._chain.totals()
