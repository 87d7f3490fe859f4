"""[I/O] Every call to Firestore that records need; each has a deadline and retries nothing.

A commit is one request that Firestore carries out as a whole or not at all, guarded by what must still hold: that each
block's document does not exist (`create`), and that the head is still the one that was read (its update time). So of two
writers at the same height one fails, reads again and goes on after the other; and a writer that dies holds no lock that
the next would wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_core.ledger import Block, BlockError, parse_block
from oneseek_runtime.records.errors import LedgerBrokenError
from oneseek_runtime.records.firestore import layout
from oneseek_runtime.records.firestore.connection import Connection
from oneseek_runtime.records.staging import Staged
from oneseek_runtime.records.store import Document, Entry, Head

__all__ = ["Database", "Seen", "State"]

_PAGE = 500  # documents in one request
_PAGE_SECONDS = 30.0  # for a page of the ledger, for which nobody waits as for an append
_SPAN = 1024  # blocks; of each span the newest checkpoint is kept, so that damage can be bounded later


@dataclass(frozen=True, slots=True)
class State:
    """The head as it was read; `updated` proves at a commit that it is still that one."""

    size: int
    hash: str
    note: str
    places: int
    updated: Any


@dataclass(frozen=True, slots=True)
class Seen:
    """What a commit must know: the head, the blocks that keys already have, the documents that are already there."""

    state: State | None
    blocks: dict[str, Block]
    documents: dict[tuple[str, str], Document]

    def document(self, like: Document) -> Document | None:
        """The document of that collection and id, if there is one."""
        return self.documents.get((like.collection, like.id))


class Database:
    """Statements on one database; errors are the client's own."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def _get(self, paths: Iterable[tuple[str, str]], within: float | None = None) -> dict[tuple[str, str], Any]:
        """The documents that exist, by (collection, id); a page of them in the deadline, or `within` seconds."""
        client = self._connection.client()
        references = [client.collection(collection).document(name) for collection, name in paths]
        found = {}
        for start in range(0, len(references), _PAGE):
            page = references[start : start + _PAGE]
            for one in client.get_all(page, retry=None, timeout=within or self._deadline):
                if one.exists:
                    found[one.reference.parent.id, one.id] = one
        return found

    def state(self) -> State | None:
        """The head; None for a database where nothing is recorded yet."""
        return _state(self._get([(layout.STATE, layout.HEAD)]))

    def state_and_next(self, size: int) -> tuple[State | None, bool]:
        """The head, and whether there is a block of number `size`, at one moment."""
        path = (layout.LEDGER, str(size))
        found = self._get([(layout.STATE, layout.HEAD), path])
        return _state(found), path in found

    def look(self, entries: Sequence[Entry]) -> Seen:
        """What must be known before entries are committed."""
        keys = {entry.key: (layout.KEYS, layout.key_id(entry.key)) for entry in entries if entry.kind}
        kept = {(one.collection, one.id): one for entry in entries for one in entry.documents}
        paths = {about: (about[0], layout.document_id(about[1])) for about in kept}
        found = self._get([(layout.STATE, layout.HEAD), *keys.values(), *paths.values()])
        numbers = {key: str(found[path].to_dict().get("blockNumber")) for key, path in keys.items() if path in found}
        blocks = self._get([(layout.LEDGER, number) for number in numbers.values()]) if numbers else {}
        documents = {
            about: layout.document_of(path[0], path[1], found[path].to_dict())
            for about, path in paths.items()
            if path in found
        }
        known = {key: _block(key, blocks.get((layout.LEDGER, number))) for key, number in numbers.items()}
        return Seen(_state(found), known, documents)

    def lines(self, first: int, end: int) -> Iterator[bytes]:
        """Canonical lines of the blocks `first` to `end - 1`; those that are not there are left out."""
        for start in range(first, end, _PAGE):
            paths = [(layout.LEDGER, str(number)) for number in range(start, min(start + _PAGE, end))]
            found = self._get(paths, _PAGE_SECONDS)
            yield from (layout.line_of(found[path].to_dict()) for path in paths if path in found)

    def checkpoint_notes(self, state: State | None) -> list[str]:
        """The kept checkpoints up to a state, oldest first."""
        if state is None:
            return []
        collection = self._connection.client().collection(layout.CHECKPOINTS)
        found = collection.order_by("size").stream(retry=None, timeout=_PAGE_SECONDS)
        kept = [one for one in (row.to_dict() for row in found) if one["size"] < state.size]
        return [*(str(one["note"]) for one in kept), state.note]

    def newest_documents(self, collection: str, limit: int) -> list[Document]:
        """The newest documents of a collection, newest first."""
        if not limit:
            return []
        query = self._connection.client().collection(collection).order_by(layout.PLACE, direction="DESCENDING")
        found = query.limit(limit).stream(retry=None, timeout=self._deadline)
        return [layout.document_of(collection, one.id, one.to_dict()) for one in found]

    def commit(self, staged: Sequence[Staged], before: State | None, head: Head) -> None:
        """Write what is staged and the head over it, if the head is still `before`; all of it or nothing."""
        client = self._connection.client()
        batch = client.batch()
        place = before.places if before else 0
        for block, entry in staged:
            if block:
                fields = layout.block_fields(block, entry.key)
                batch.create(client.collection(layout.LEDGER).document(str(block.number)), fields)
                key = {"key": entry.key, "blockNumber": block.number}
                batch.create(client.collection(layout.KEYS).document(layout.key_id(entry.key)), key)
            for one in entry.documents:
                fields = layout.document_fields(one, place)
                batch.create(client.collection(one.collection).document(layout.document_id(one.id)), fields)
                place += 1
        reference = client.collection(layout.STATE).document(layout.HEAD)
        fields = {"size": head.size, "hash": head.hash, "note": head.note, "places": place}
        if before is None:
            batch.create(reference, fields)
        else:
            batch.update(reference, fields, option=client.write_option(last_update_time=before.updated))
            if before.size // _SPAN != head.size // _SPAN:
                kept = {"size": before.size, "note": before.note}
                batch.create(client.collection(layout.CHECKPOINTS).document(str(before.size)), kept)
        batch.commit(retry=None, timeout=self._deadline)


def _state(found: dict[tuple[str, str], Any]) -> State | None:
    one = found.get((layout.STATE, layout.HEAD))
    if one is None:
        return None
    try:
        size, places = int(one.get("size")), int(one.get("places"))
        return State(size, str(one.get("hash")), str(one.get("note")), places, one.update_time)
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerBrokenError(f"the document {layout.STATE}/{layout.HEAD} was changed: {error}") from error


def _block(key: str, found: Any) -> Block:
    try:
        return parse_block(layout.line_of(found.to_dict()) if found is not None else b"")
    except BlockError as error:
        raise LedgerBrokenError(f"the block of {key!r} was changed in Firestore: {error}") from error
