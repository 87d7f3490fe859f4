"""[I/O] Records in SQLite: the store of one process on one block volume.

Opening takes the lock, reads the whole ledger and refuses it unless it is what its last checkpoint saw. From then on
the chain in memory and the file move together: blocks are staged, committed with the checkpoint over them in one
transaction, and taken back where that fails. What readers see (`head`, proofs) is always durable.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from oneseek_core.checkpoint import VerifierKey
from oneseek_core.ledger import Block, BlockError, Verdict, first_block
from oneseek_core.ledger_entries import QUERY
from oneseek_runtime.log import say
from oneseek_runtime.records import chain, database, opening
from oneseek_runtime.records.errors import (
    BadRequestError,
    FullError,
    IdempotencyConflictError,
    RecordsError,
    StoreFailedError,
)
from oneseek_runtime.records.lock import hold_lock, refuse_network_volume
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.records.store import Document, Entry, Head, Receipt
from oneseek_runtime.records.writer import GroupWriter, Outcome

__all__ = ["SqliteStore"]

Result = TypeVar("Result")

_GENESIS_KEY = "genesis"

Staged = tuple[Block | None, Entry]
"""What a commit writes: an entry, with its block where it has one."""


class SqliteStore:
    """`Store` on one SQLite file; see the module. Made by `open`, ended by `close`."""

    def __init__(self, folder: Path, signer: Signer, lock: int, clock: Callable[[], str]) -> None:
        self._folder, self._signer, self._lock, self._clock = folder, signer, lock, clock
        self._connection = database.open_writer(folder)
        self._chain = chain.Chain()
        self._head = Head(0, "", b"", "", "", "", signed=False)
        self._failure: str | None = None
        self._kinds: dict[str, int] = {}
        self._commits = 0
        self._reader = database.open_reader(folder)
        self._reading = threading.Lock()
        self._verifying: asyncio.Task[Verdict] | None = None
        self._turn = asyncio.Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        signer: Signer,
        *,
        trusted: Sequence[VerifierKey] = (),
        wait: float = 0,
        clock: Callable[[], str] = chain.now,
    ) -> SqliteStore:
        """Take over the records in a folder; waits `wait` seconds for a process that still has them.

        Raises:
            UnsuitableVolumeError, LockedError, FullError: see there.
            LedgerBrokenError: the ledger is not what its last checkpoint saw, or is no ledger.
        """
        refuse_network_volume(folder)
        lock = hold_lock(folder, wait=wait)
        with ExitStack() as undo:
            undo.callback(os.close, lock)
            try:
                store = cls(folder, signer, lock, clock)
                undo.callback(store._let_go)
                store._begin(trusted)
            except sqlite3.Error as error:
                raise database.translated(error) from error
            undo.pop_all()
        store._writer = GroupWriter(store._commit)
        return store

    _writer: GroupWriter

    def _begin(self, trusted: Sequence[VerifierKey]) -> None:
        """Read everything; the very first time, write the genesis block."""
        own = [self._signer.key] if self._signer.key else []
        self._chain, note, signed = opening.read_ledger(self._connection, [*trusted, *own])
        if self._chain.tip is None:
            self._write_genesis()
        else:
            self._head = self._head_with(self._chain.tip, note, signed=signed)
        self._kinds = self._chain.totals()
        say("opened", blocks=self._head.size, head=self._head.hash, signed=str(self._head.signed).lower())

    def _write_genesis(self) -> None:
        block = first_block("The ledger of what was trained, certified, served and asked.", self._clock())
        self._chain.add(block)
        self._connection.execute("BEGIN IMMEDIATE")
        self._head = self._write([(block, Entry(_GENESIS_KEY, "genesis", {}))])
        self._connection.execute("COMMIT")

    @property
    def head(self) -> Head:
        """The newest durable state."""
        return self._head

    @property
    def failure(self) -> str | None:
        """Why nothing can be appended until a restart; None while all is well."""
        return self._failure

    async def append(self, entries: Sequence[Entry]) -> tuple[list[Receipt], Head]:
        """Record all entries or none; returns once they are durable.

        Raises:
            IdempotencyConflictError, BadRequestError, BusyError, FullError, StoreFailedError: see there.
        """
        return await self._writer.append(entries)

    def _commit(self, group: list[Sequence[Entry]]) -> list[Outcome]:
        """One transaction for a group of requests. Runs in the writer's thread."""
        if self._failure:
            return [StoreFailedError(self._failure) for _ in group]
        size, tip = self._chain.tree.size, self._chain.tip
        staged: list[Staged] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            known = database.known_blocks(self._connection, [entry.key for entries in group for entry in entries])
            found = [self._enter(entries, known, staged) for entries in group]
            head = self._write(staged) if staged else self._head
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the thread's border: whoever waits must get an answer
            self._chain.take_back(size, tip, _blocks(staged))
            failure = self._undone(error)
            return [failure for _ in group]
        self._head = head
        if staged:
            self._commits += 1
            self._kinds = self._chain.totals()
        return [one if isinstance(one, RecordsError) else (one, head) for one in found]

    def _enter(
        self, entries: Sequence[Entry], known: dict[str, Block], staged: list[Staged]
    ) -> list[Receipt] | RecordsError:
        """Stage one request's entries: all of them, or none and the error. `known`: blocks by key."""
        chain_ = self._chain
        size, tip, before = chain_.tree.size, chain_.tip, len(staged)
        receipts = []
        try:
            for entry in entries:
                if entry.kind is None:
                    receipts.append(self._enter_documents(entry, staged))
                    continue
                block = known.get(entry.key)
                appended = block is None
                if block is None:
                    if entry.documents and entry.kind != QUERY:  # a query's never come without its block
                        self._refuse_known(entry, staged)
                    block = chain_.stage(entry, self._clock)
                    staged.append((block, entry))
                    known[entry.key] = block
                elif (block.data["type"], block.data.get("content")) != (entry.kind, entry.content):
                    raise IdempotencyConflictError.of(entry.key, block.number)
                receipts.append(Receipt(block.number, block.hash, appended))
        except (IdempotencyConflictError, BlockError) as error:
            chain_.take_back(size, tip, _blocks(staged[before:]))
            for _, entry in staged[before:]:
                known.pop(entry.key, None)
            del staged[before:]
            return BadRequestError(str(error)) if isinstance(error, BlockError) else error
        return receipts

    def _enter_documents(self, entry: Entry, staged: list[Staged]) -> Receipt:
        """Stage an entry without a block, unless it is there already."""
        known = self._known_documents(entry, staged)
        if not known:
            staged.append((None, entry))
        elif known != list(entry.documents):
            raise IdempotencyConflictError(
                f"{known[0].id!r} already stands in {known[0].collection} with another content"
            )
        return Receipt(None, None, appended=not known)

    def _refuse_known(self, entry: Entry, staged: list[Staged]) -> None:
        """A new block cannot come with a document that is there already, from an entry that had no block."""
        for known in self._known_documents(entry, staged):
            raise IdempotencyConflictError(f"{known.id!r} already stands in {known.collection}, without a block")

    def _known_documents(self, entry: Entry, staged: list[Staged]) -> list[Document]:
        """What stands already where the entry's documents would, from an earlier commit or from this one."""
        for _, other in staged:
            if other.key == entry.key:
                return list(other.documents)
        found = (database.known_document(self._connection, document) for document in entry.documents)
        return [document for document in found if document]

    def _write(self, staged: Sequence[Staged]) -> Head:
        """Insert what is staged and the checkpoint over it; the head that it makes once it is committed."""
        documents = [document for _, entry in staged for document in entry.documents]
        rows = [(block.number, entry.key, block.line) for block, entry in staged if block]
        if not rows:
            database.append_rows(self._connection, [], documents, "")
            return self._head
        tip = _blocks(staged)[-1]
        note = self._signer.note(tip.number + 1, self._chain.tree.root(), tip.hash)
        database.append_rows(self._connection, rows, documents, note)
        return self._head_with(tip, note, signed=self._signer.key is not None)

    def _head_with(self, tip: Block, note: str, *, signed: bool) -> Head:
        root = self._chain.tree.root()
        return Head(tip.number + 1, tip.hash, root, tip.timestamp, str(tip.data["type"]), note, signed)

    def _undone(self, error: Exception) -> RecordsError:
        """Roll back. Only a full volume leaves things so sure that appending may go on later."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as second:
            error = second
        told = database.translated(error)
        if not isinstance(told, FullError):
            self._failure = str(told)
            say("failed", message=self._failure)
        return told

    async def blocks(self, first: int, limit: int) -> list[bytes]:
        """Canonical lines from a block number on."""
        return await asyncio.to_thread(self._read, lambda connection: list(database.lines(connection, first, limit)))

    async def documents(self, collection: str, limit: int) -> list[Document]:
        """The newest documents of a collection, newest first."""
        return await asyncio.to_thread(self._read, lambda one: database.newest_documents(one, collection, limit))

    async def checkpoints(self) -> list[str]:
        """The kept checkpoints, oldest first."""
        return await asyncio.to_thread(self._read, database.checkpoint_notes)

    def _read(self, statement: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._reading:
            return statement(self._reader)

    async def verify(self) -> Verdict:
        """Read the whole ledger again from the volume and check it, at one moment, with every kept checkpoint.

        One at a time: whoever asks while one waits for its turn gets that one's verdict.
        """
        if self._verifying is None:
            self._verifying = asyncio.create_task(self._verify())
        return await asyncio.shield(self._verifying)

    async def _verify(self) -> Verdict:
        async with self._turn:
            self._verifying = None  # who asks from now on may mean blocks that this reading no longer sees
            return await asyncio.to_thread(opening.verify_again, self._folder)

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
        if size > self._head.size:
            raise ValueError(f"the ledger has {self._head.size} blocks, not {size}")

    def statistics(self) -> dict[str, Any]:
        """How many durable blocks of which type, and how many transactions since the start wrote them."""
        return {"kinds": self._kinds, "commits": self._commits}

    def close(self) -> None:
        """Commit what waits, close the file, give the lock back."""
        self._writer.close()
        self._let_go()
        os.close(self._lock)

    def _let_go(self) -> None:
        with self._reading:
            self._reader.close()
        self._connection.close()


def _blocks(staged: Sequence[Staged]) -> list[Block]:
    return [block for block, _ in staged if block]
