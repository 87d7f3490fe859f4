"""[I/O] Records in Firestore: the store of one model in one database of a Google Cloud project.

As with SQLite, the whole ledger is read before anything is appended, and the chain in memory and the database move
together. Unlike there, another service may append too (two pods overlap for a moment, or somebody scaled up): then the
head that a commit finds is a later one, the blocks up to it are read and checked, and the commit is made after them.

Firestore may be away, at the start or later. Nothing ends because of it: every call says what is wrong, and the next one
tries again. Only a ledger that is not what its checkpoints saw ends appending for good.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from oneseek_core.checkpoint import CheckpointError, VerifierKey, parse_note
from oneseek_core.ledger import Verdict, first_block
from oneseek_core.merkle import leaf_hash
from oneseek_runtime.log import say
from oneseek_runtime.records import chain, opening
from oneseek_runtime.records.chained import ChainedStore
from oneseek_runtime.records.errors import (
    AwayError,
    BadRequestError,
    BodyTooLargeError,
    BusyError,
    LedgerBrokenError,
    LockedError,
    RecordsError,
    SlowError,
    StoreFailedError,
)
from oneseek_runtime.records.firestore import layout
from oneseek_runtime.records.firestore.connection import Connection, is_contention
from oneseek_runtime.records.firestore.database import Database, Seen, State
from oneseek_runtime.records.settings import FirestoreSettings
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.records.staging import Staging
from oneseek_runtime.records.store import Document, Entry, Head, Receipt
from oneseek_runtime.records.writer import GroupWriter, Outcome

__all__ = ["FirestoreStore"]

Result = TypeVar("Result")

_COMMIT_BYTES = 3_000_000  # of entries; an emulator takes requests of 4 MiB, Firestore of 10
_BLOCK_BYTES = 3000  # of a block's document and its key's, at most, beside what the entry's documents take
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 10.0  # between attempts to open
_MARGIN_SECONDS = 0.5  # so that what Firestore's deadline says is told before the request's own


class FirestoreStore(ChainedStore):
    """`Store` on one Firestore database; see the module. Made by `open`, ended by `close`."""

    def __init__(
        self, settings: FirestoreSettings, signer: Signer, trusted: Sequence[VerifierKey], clock: Callable[[], str]
    ) -> None:
        super().__init__(signer, clock)
        self._deadline = settings.deadline_seconds
        self._connection = Connection(settings)
        self._database = Database(self._connection, self._deadline)
        self._keys = [*trusted, *([signer.key] if signer.key else [])]
        self._away: AwayError | BusyError | None = AwayError("the ledger is being read")
        self._opened = False
        self._ended = threading.Event()
        self._opener = threading.Thread(target=self._open_later, name="records-opener", daemon=True)
        self._writer = GroupWriter(self._commit)

    @classmethod
    def open(
        cls,
        settings: FirestoreSettings,
        signer: Signer,
        *,
        trusted: Sequence[VerifierKey] = (),
        clock: Callable[[], str] = chain.now,
    ) -> FirestoreStore:
        """Take over the records in a database. Where it is away, that happens by itself once it is back.

        Raises:
            LedgerBrokenError: the ledger is not what its last checkpoint saw, or is no ledger.
            LockedError: it is the ledger of another model.
        """
        store = cls(settings, signer, trusted, clock)
        try:
            if not store._try_to_open():
                store._opener.start()
        except BaseException:
            store.close()
            raise
        return store

    def _open_later(self) -> None:
        pause = _FIRST_PAUSE
        while not self._ended.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - so that pods do not march
            pause = min(2 * pause, _LAST_PAUSE)
            try:
                if self._try_to_open():
                    return
            except RecordsError as error:
                self._fail(error)
                return

    def _try_to_open(self) -> bool:
        """Whether the ledger was read; if not, `away` says why."""
        try:
            self._begin()
        except Exception as error:
            told = self._connection.translated(error)
            if not isinstance(told, AwayError | BusyError):
                raise told from error
            self.note_away(told)
            return False
        self._opened, self._away = True, None
        head = self._head
        say("opened", blocks=head.size, head=head.hash, signed=str(head.signed).lower(), store=self._connection.place)
        return True

    def _begin(self) -> None:
        """Read everything; the very first time, write the genesis block."""
        state = self._database.state()
        if state is None:
            state = self._write_genesis()
        self._refuse_strangers(state)
        notes = self._database.checkpoint_notes(state)
        self._chain, note, signed = opening.read_ledger(notes, self._database.lines(0, state.size), self._keys)
        if self._chain.tip is None or self._chain.tip.hash != state.hash:
            raise LedgerBrokenError("the last block is not the one that the head names")
        self._became_durable(self._head_with(self._chain.tip, note, signed=signed))
        while True:
            newest, more = self._database.state_and_next(self._chain.tree.size)
            if self._follow(newest):
                continue
            if more:
                size = self._chain.tree.size
                raise LedgerBrokenError(f"there is a block {size}, but the last checkpoint saw {size} blocks")
            return

    def _write_genesis(self) -> State:
        block = first_block(chain.GENESIS_MESSAGE, self._clock())
        self._chain = chain.Chain()
        self._chain.add(block)
        entry = Entry(chain.GENESIS_KEY, "genesis", {})
        try:
            self._database.commit([(block, entry)], None, self._next_head(block))
        except Exception as error:
            # Another service was first; or there are blocks without a head, which is no beginning.
            if not is_contention(error):
                raise
        state = self._database.state()
        if state is None:
            raise LedgerBrokenError(
                f"{self._connection.place} holds {layout.LEDGER} documents, but no checkpoint over them; they are of "
                "another program or damaged; give this model a database of its own"
            )
        return state

    def _refuse_strangers(self, state: State) -> None:
        """Two models in one database would write one ledger."""
        try:
            origin = parse_note(state.note)[0].origin
        except CheckpointError as error:
            raise LedgerBrokenError(f"the last checkpoint cannot be read: {error}") from error
        if origin != self._signer.origin:
            raise LockedError(
                f"{self._connection.place} holds the ledger of {origin}, not of {self._signer.origin}; "
                "give each model a database of its own (spec.records.firestore.database)"
            )

    def _follow(self, state: State | None) -> bool:
        """Take the blocks that another service appended; whether there were any.

        Raises:
            LedgerBrokenError: what is there does not go on from what we know.
        """
        own = self._chain
        size, tip = own.tree.size, own.tip
        if state is None or state.size < size:
            raise LedgerBrokenError(f"the ledger was cut: {size} blocks were durable, {state.size if state else 0} are")
        if state.size == size:
            if tip is None or state.hash != tip.hash:
                raise LedgerBrokenError(f"block {size - 1} is another than the one that was durable")
            return False
        signed = opening.read_on(own, self._database.lines(size, state.size), state.note, self._keys)
        if own.tip is not None:
            self._became_durable(self._head_with(own.tip, state.note, signed=signed))
        return True

    @property
    def head(self) -> Head:
        """The newest durable state.

        Raises:
            AwayError, BusyError: the ledger could not be read yet.
        """
        self.refuse_unopened()
        return self._head

    @property
    def away(self) -> str | None:
        """Why nothing can be appended just now, though it will go on by itself."""
        return str(self._away) if self._away else None

    @property
    def connection(self) -> Connection:
        """The way to the database."""
        return self._connection

    @property
    def deadline(self) -> float:
        """How long an answer of Firestore is waited for, in seconds."""
        return self._deadline

    def refuse_unopened(self) -> None:
        """Let nobody write beside a ledger that was not read.

        Raises:
            AwayError, BusyError, StoreFailedError: it was not, and why.
        """
        if self._failure:
            raise StoreFailedError(self._failure)
        if not self._opened:
            raise self._away or AwayError("the ledger is being read")

    def note_away(self, error: AwayError | BusyError) -> None:
        """Say it once, and begin with a new connection next time."""
        if self._away is None or str(self._away) != str(error):
            say("away", message=str(error))
        self._away = error
        self._connection.drop()

    def _note_back(self) -> None:
        if self._away is not None:
            say("back", store=self._connection.place)
        self._away = None

    def _fail(self, error: RecordsError) -> None:
        self._failure = str(error)
        say("failed", message=self._failure)

    async def append(self, entries: Sequence[Entry]) -> tuple[list[Receipt], Head]:
        """Record all entries or none; returns once they are durable.

        Raises:
            IdempotencyConflictError, BadRequestError, BusyError, AwayError, StoreFailedError: see there.
        """
        self.refuse_unopened()
        if _size(entries) > _COMMIT_BYTES:
            raise BodyTooLargeError(f"Firestore takes no more than {_COMMIT_BYTES // 10**6} MB at once; send fewer")
        for entry in entries:
            for document in entry.documents:
                layout.document_fields(document, 0)  # what it cannot hold must not refuse others of the same commit
        try:
            async with asyncio.timeout(self._deadline + _MARGIN_SECONDS):
                return await self._writer.append(entries)
        except TimeoutError as error:
            raise SlowError(f"{self._connection.place} did not answer within {self._deadline:g} s") from error

    def _commit(self, group: list[Sequence[Entry]]) -> list[Outcome]:
        """As few commits as a group of requests needs. Runs in the writer's thread."""
        outcomes: list[Outcome] = []
        for part in _parts(group):
            outcomes += self._commit_part(part)
        return outcomes

    def _commit_part(self, group: list[Sequence[Entry]]) -> list[Outcome]:
        """One commit, tried again while others write in between and time is left."""
        until = time.monotonic() + self._deadline
        while True:
            try:
                return self._try_commit(group)
            except Exception as error:  # noqa: BLE001 - the thread's border: whoever waits must get an answer
                told = self._connection.translated(error)
            if isinstance(told, BusyError) and time.monotonic() < until:
                time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - so that two writers do not march
                continue
            if isinstance(told, BadRequestError) and len(group) > 1:
                return [outcome for entries in group for outcome in self._commit_part([entries])]
            if isinstance(told, AwayError):
                self.note_away(told)
            elif isinstance(told, LedgerBrokenError):
                self._fail(told)
            return [told for _ in group]

    def _try_commit(self, group: list[Sequence[Entry]]) -> list[Outcome]:
        self.refuse_unopened()
        seen = self._database.look([entry for entries in group for entry in entries])
        if self._follow(seen.state):  # and what the keys have may be among it, or not be seen yet
            raise BusyError("others append at the same time")
        self._hold_against_tree(seen)
        staging = Staging(self._chain, self._clock, seen.blocks, seen.document)
        try:
            found = [staging.enter(entries) for entries in group]
            head = self._head
            if staging.staged:
                head = self._next_head(staging.blocks[-1]) if staging.blocks else head
                self._database.commit(staging.staged, seen.state, head)
                self._commits += 1
                self._became_durable(head)
        except BaseException:
            staging.take_back()
            raise
        self._note_back()
        return [one if isinstance(one, RecordsError) else (one, head) for one in found]

    def _hold_against_tree(self, seen: Seen) -> None:
        """A receipt must be about the block that was durable, not about one put in its place."""
        for key, block in seen.blocks.items():
            if block.number >= self._chain.tree.size or self._chain.tree.leaf(block.number) != leaf_hash(block.line):
                raise LedgerBrokenError(f"the block of {key!r} was changed in Firestore")

    async def blocks(self, first: int, limit: int) -> list[bytes]:
        """Canonical lines from a block number on."""
        end = min(first + limit, self.head.size)
        return await self._read(lambda: list(self._database.lines(first, end)))

    async def documents(self, collection: str, limit: int) -> list[Document]:
        """The newest documents of a collection, newest first."""
        return await self._read(lambda: self._database.newest_documents(collection, limit))

    async def checkpoints(self) -> list[str]:
        """The kept checkpoints, oldest first."""
        return await self._read(lambda: self._database.checkpoint_notes(self._database.state()))

    async def _read(self, statement: Callable[[], Result]) -> Result:
        return await asyncio.to_thread(self._translating, statement)

    def _translating(self, statement: Callable[[], Result]) -> Result:
        try:
            return statement()
        except Exception as error:
            raise self._connection.translated(error) from error

    def _judge(self) -> Verdict:
        def judged() -> Verdict:
            state = self._database.state()
            saved = [parse_note(note)[0] for note in self._database.checkpoint_notes(state)]
            return chain.verify(self._database.lines(0, state.size if state else 0), saved)

        return self._translating(judged)

    def close(self) -> None:
        """Commit what waits, and let go."""
        self._ended.set()
        self._writer.close()
        if self._opener.is_alive():
            self._opener.join()
        self._connection.drop()


def _size(entries: Sequence[Entry]) -> int:
    return sum(_BLOCK_BYTES + sum(len(one.text.encode()) for one in entry.documents) for entry in entries)


def _parts(group: list[Sequence[Entry]]) -> Iterator[list[Sequence[Entry]]]:
    """The group's requests in order, as many together as one commit takes."""
    part: list[Sequence[Entry]] = []
    taken = 0
    for entries in group:
        size = _size(entries)
        if part and taken + size > _COMMIT_BYTES:
            yield part
            part, taken = [], 0
        part.append(entries)
        taken += size
    if part:
        yield part
