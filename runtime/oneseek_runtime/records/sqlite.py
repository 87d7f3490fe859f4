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
from typing import TypeVar

from oneseek_core.checkpoint import VerifierKey
from oneseek_core.ledger import Verdict, first_block
from oneseek_runtime.log import say
from oneseek_runtime.records import chain, database, opening
from oneseek_runtime.records.chained import ChainedStore
from oneseek_runtime.records.errors import FullError, RecordsError, StoreFailedError
from oneseek_runtime.records.lock import hold_lock, refuse_network_volume
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.records.staging import Staged, Staging
from oneseek_runtime.records.store import Document, Entry, Head, Receipt
from oneseek_runtime.records.writer import GroupWriter, Outcome

__all__ = ["SqliteStore"]

Result = TypeVar("Result")


class SqliteStore(ChainedStore):
    """`Store` on one SQLite file; see the module. Made by `open`, ended by `close`."""

    def __init__(self, folder: Path, signer: Signer, lock: int, clock: Callable[[], str]) -> None:
        super().__init__(signer, clock)
        self._folder, self._lock = folder, lock
        self._connection = database.open_writer(folder)
        self._reader = database.open_reader(folder)
        self._reading = threading.Lock()

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
        self._chain, note, signed = opening.read_ledger(
            database.checkpoint_notes(self._connection), database.lines(self._connection), [*trusted, *own]
        )
        if self._chain.tip is None:
            self._write_genesis()
        else:
            self._became_durable(self._head_with(self._chain.tip, note, signed=signed))
        say("opened", blocks=self._head.size, head=self._head.hash, signed=str(self._head.signed).lower())

    def _write_genesis(self) -> None:
        block = first_block(chain.GENESIS_MESSAGE, self._clock())
        self._chain.add(block)
        self._connection.execute("BEGIN IMMEDIATE")
        head = self._write([(block, Entry(chain.GENESIS_KEY, "genesis", {}))])
        self._connection.execute("COMMIT")
        self._became_durable(head)

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
        staging = Staging(self._chain, self._clock, {}, self._known_document)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            keys = [entry.key for entries in group for entry in entries]
            staging = Staging(
                self._chain, self._clock, database.known_blocks(self._connection, keys), self._known_document
            )
            found = [staging.enter(entries) for entries in group]
            head = self._write(staging.staged) if staging.staged else self._head
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the thread's border: whoever waits must get an answer
            staging.take_back()
            failure = self._undone(error)
            return [failure for _ in group]
        if staging.staged:
            self._commits += 1
            self._became_durable(head)
        return [one if isinstance(one, RecordsError) else (one, head) for one in found]

    def _known_document(self, like: Document) -> Document | None:
        return database.known_document(self._connection, like)

    def _write(self, staged: Sequence[Staged]) -> Head:
        """Insert what is staged and the checkpoint over it; the head that it makes once it is committed."""
        documents = [document for _, entry in staged for document in entry.documents]
        rows = [(block.number, entry.key, block.line) for block, entry in staged if block]
        if not rows or self._chain.tip is None:
            database.append_rows(self._connection, [], documents, "")
            return self._head
        head = self._next_head(self._chain.tip)
        database.append_rows(self._connection, rows, documents, head.note)
        return head

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

    def _judge(self) -> Verdict:
        return opening.verify_again(self._folder)

    def close(self) -> None:
        """Commit what waits, close the file, give the lock back."""
        self._writer.close()
        self._let_go()
        os.close(self._lock)

    def _let_go(self) -> None:
        with self._reading:
            self._reader.close()
        self._connection.close()
