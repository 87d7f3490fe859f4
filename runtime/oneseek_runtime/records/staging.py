"""One commit in the making: entries become blocks on the chain, request by request. Pure, apart from asking what stands.

A request is staged as a whole or not at all, and one that is refused leaves the others of its group untouched. Nothing
here is durable: a store writes what is staged, or takes all of it back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from oneseek_core.ledger import Block, BlockError
from oneseek_core.ledger_entries import QUERY
from oneseek_runtime.records.chain import Chain
from oneseek_runtime.records.errors import BadRequestError, IdempotencyConflictError, RecordsError
from oneseek_runtime.records.store import Document, Entry, Receipt

__all__ = ["Staged", "Staging"]

Staged = tuple[Block | None, Entry]
"""What a commit writes: an entry, with its block where it has one."""


class Staging:
    """What one commit adds to a chain. `known`: blocks by key; `document`: what stands where a document would."""

    def __init__(
        self,
        chain: Chain,
        clock: Callable[[], str],
        known: dict[str, Block],
        document: Callable[[Document], Document | None],
    ) -> None:
        self._chain, self._clock, self._known, self._document = chain, clock, known, document
        self._size, self._tip = chain.tree.size, chain.tip
        self.staged: list[Staged] = []

    @property
    def blocks(self) -> list[Block]:
        """The new blocks, in order."""
        return _blocks(self.staged)

    @property
    def documents(self) -> list[Document]:
        """The new documents, in order."""
        return [document for _, entry in self.staged for document in entry.documents]

    def take_back(self) -> None:
        """Leave the chain as it was before."""
        self._chain.take_back(self._size, self._tip, self.blocks)

    def enter(self, entries: Sequence[Entry]) -> list[Receipt] | RecordsError:
        """Stage one request's entries: all of them, or none and the error."""
        size, tip, before = self._chain.tree.size, self._chain.tip, len(self.staged)
        try:
            return [self._enter(entry) for entry in entries]
        except (IdempotencyConflictError, BlockError) as error:
            self._chain.take_back(size, tip, _blocks(self.staged[before:]))
            for _, entry in self.staged[before:]:
                self._known.pop(entry.key, None)
            del self.staged[before:]
            return BadRequestError(str(error)) if isinstance(error, BlockError) else error

    def _enter(self, entry: Entry) -> Receipt:
        if entry.kind is None:
            return self._enter_documents(entry)
        block = self._known.get(entry.key)
        appended = block is None
        if block is None:
            if entry.documents and entry.kind != QUERY:  # a query's never come without its block
                self._refuse_known(entry)
            block = self._chain.stage(entry, self._clock)
            self.staged.append((block, entry))
            self._known[entry.key] = block
        elif (block.data["type"], block.data.get("content")) != (entry.kind, entry.content):
            raise IdempotencyConflictError.of(entry.key, block.number)
        return Receipt(block.number, block.hash, appended)

    def _enter_documents(self, entry: Entry) -> Receipt:
        """Stage an entry without a block, unless it is there already."""
        known = self._known_documents(entry)
        if not known:
            self.staged.append((None, entry))
        elif not _same(known, entry.documents):
            raise IdempotencyConflictError(
                f"{known[0].id!r} already stands in {known[0].collection} with another content"
            )
        return Receipt(None, None, appended=not known)

    def _refuse_known(self, entry: Entry) -> None:
        """A new block cannot come with a document that is there already, from an entry that had no block."""
        for known in self._known_documents(entry):
            raise IdempotencyConflictError(f"{known.id!r} already stands in {known.collection}, without a block")

    def _known_documents(self, entry: Entry) -> list[Document]:
        """What stands already where the entry's documents would, from an earlier commit or from this one."""
        for _, other in self.staged:
            if other.key == entry.key:
                return list(other.documents)
        found = (self._document(document) for document in entry.documents)
        return [document for document in found if document]


def _same(known: Sequence[Document], sent: Sequence[Document]) -> bool:
    """Whether they say the same; a store may give a document's keys back in another order."""
    return [(one.collection, one.id, json.loads(one.text)) for one in known] == [
        (one.collection, one.id, json.loads(one.text)) for one in sent
    ]


def _blocks(staged: Sequence[Staged]) -> list[Block]:
    return [block for block, _ in staged if block]
