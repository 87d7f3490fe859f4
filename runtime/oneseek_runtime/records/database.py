"""[I/O] The SQLite file: its schema, how it is opened, and every statement that is run on it.

Opened for writing by one connection of one thread, with `synchronous=FULL`: a commit returns after the fsync of its
log. Readers only read; no connection but the writer's ever checkpoints the log while that one lives.
A group of entries takes as few statements as possible: after each the thread must win the interpreter back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from oneseek_core.files import fsync_dir
from oneseek_core.ledger import Block, BlockError, parse_block
from oneseek_runtime.records.errors import FullError, LedgerBrokenError, RecordsError, StoreFailedError
from oneseek_runtime.records.store import Document

__all__ = [
    "Row",
    "append_rows",
    "checkpoint_notes",
    "connect",
    "known_blocks",
    "known_document",
    "lines",
    "newest_documents",
    "open_reader",
    "open_writer",
    "translated",
]

_FILE = "records.sqlite3"
_VERSION = 2
_ROWS = 512  # in one statement
_SPAN = 1024  # blocks; of each span the newest checkpoint is kept, so that damage can be bounded later

Item = TypeVar("Item")
Row = tuple[int, str, bytes]
"""A block: number, idempotency key, canonical line."""

# Newest last; a row's own number is its place. The two keys serve finding one, and listing the newest of a collection.
_DOCUMENTS = """
CREATE TABLE documents (
    place INTEGER PRIMARY KEY, collection TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL,
    UNIQUE (collection, id)
);
CREATE INDEX newest_documents ON documents (collection, place);
"""

# Version 1 kept a query and its provenance together, beside the query's block.
_FROM_1 = f"""
BEGIN;
ALTER TABLE documents RENAME TO old;
{_DOCUMENTS}
INSERT INTO documents (collection, id, document)
    SELECT 'oqt_queries', json_extract(document, '$.query.queryId'), json_extract(document, '$.query')
    FROM old ORDER BY number;
INSERT INTO documents (collection, id, document)
    SELECT 'oqt_provenance', json_extract(document, '$.query.queryId'), json_extract(document, '$.provenance')
    FROM old WHERE json_extract(document, '$.provenance') IS NOT NULL ORDER BY number;
DROP TABLE old;
PRAGMA user_version = {_VERSION};
COMMIT;
"""  # noqa: S608 - nothing but constants of ours

_SCHEMA = f"""
BEGIN;
CREATE TABLE blocks (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, line BLOB NOT NULL);
{_DOCUMENTS}
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
CREATE TRIGGER blocks_are_never_changed BEFORE UPDATE ON blocks BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER blocks_are_never_deleted BEFORE DELETE ON blocks BEGIN SELECT RAISE(ABORT, 'append-only'); END;
PRAGMA user_version = {_VERSION};
COMMIT;
"""


def connect(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection whose commits are durable, for any one thread at a time; and the file's version, 0 of a new one.

    Raises:
        sqlite3.Error: the file is no database, or the volume has no room.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return connection, int(version)


def open_writer(folder: Path) -> sqlite3.Connection:
    """The writing connection, usable from one other thread; makes the file where there is none.

    Raises:
        sqlite3.Error: the file is no database of ours, or the volume has no room.
    """
    connection, version = connect(folder / _FILE)
    if version == 0:
        connection.executescript(_SCHEMA)
    elif version == 1:
        connection.executescript(_FROM_1)
    elif version != _VERSION:
        connection.close()
        raise sqlite3.DatabaseError(f"{folder / _FILE} is of version {version}; this program reads {_VERSION}")
    fsync_dir(folder)
    return connection


def open_reader(folder: Path) -> sqlite3.Connection:
    """A connection that cannot change anything."""
    connection = sqlite3.connect(folder / _FILE, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


def known_blocks(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Block]:
    """The blocks that entries already have, by key.

    Raises:
        LedgerBrokenError: one is no good any more.
    """
    found = {}
    for some in _parts(keys):
        marks = ",".join("?" * len(some))
        statement = f"SELECT key, CAST(line AS BLOB) FROM blocks WHERE key IN ({marks})"  # noqa: S608 - question marks
        for key, line in connection.execute(statement, some).fetchall():
            try:
                found[key] = parse_block(line)
            except BlockError as error:
                raise LedgerBrokenError(f"the block of {key!r} was changed on the volume: {error}") from error
    return found


def _parts(rows: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]


def _insert(connection: sqlite3.Connection, into: str, rows: Sequence[tuple[int | str | bytes, ...]]) -> None:
    for some in _parts(rows):
        row = f"({','.join('?' * len(some[0]))})"
        statement = f"INSERT INTO {into} VALUES {','.join([row] * len(some))}"  # noqa: S608 - names of ours, question marks
        connection.execute(statement, [value for values in some for value in values])


def append_rows(connection: sqlite3.Connection, rows: Sequence[Row], documents: Sequence[Document], note: str) -> None:
    """Insert blocks, documents and the checkpoint after the blocks, within the caller's transaction."""
    _insert(
        connection, "documents (collection, id, document)", [(one.collection, one.id, one.text) for one in documents]
    )
    if not rows:
        return
    _insert(connection, "blocks (number, key, line)", rows)
    size, before = rows[-1][0] + 1, rows[0][0]
    if size // _SPAN == before // _SPAN:
        connection.execute("DELETE FROM checkpoints WHERE size = ?", (before,))
    connection.execute("INSERT INTO checkpoints (size, note) VALUES (?, ?)", (size, note))


def checkpoint_notes(connection: sqlite3.Connection) -> list[str]:
    """The kept checkpoints, oldest first."""
    return [str(note) for (note,) in connection.execute("SELECT note FROM checkpoints ORDER BY size")]


def lines(connection: sqlite3.Connection, first: int = 0, limit: int = -1) -> Iterator[bytes]:
    """Canonical lines from a number on; all of them without a limit. As bytes, whatever somebody made of them."""
    statement = "SELECT CAST(line AS BLOB) FROM blocks WHERE number >= ? ORDER BY number LIMIT ?"
    with closing(connection.execute(statement, (first, limit))) as cursor:
        for (line,) in cursor:
            yield bytes(line)


def newest_documents(connection: sqlite3.Connection, collection: str, limit: int) -> list[Document]:
    """The newest documents of a collection, newest first."""
    statement = "SELECT id, document FROM documents WHERE collection = ? ORDER BY place DESC LIMIT ?"
    return [
        Document(collection, str(id_), str(text)) for id_, text in connection.execute(statement, (collection, limit))
    ]


def known_document(connection: sqlite3.Connection, like: Document) -> Document | None:
    """The document of that collection and id, if there is one."""
    statement = "SELECT document FROM documents WHERE collection = ? AND id = ?"
    row = connection.execute(statement, (like.collection, like.id)).fetchone()
    return None if row is None else Document(like.collection, like.id, str(row[0]))


def translated(error: Exception) -> RecordsError:
    """What an error of the database means: full, damaged, or failed for good."""
    if isinstance(error, RecordsError):
        return StoreFailedError(f"the records file failed: {error}; only a restart can go on")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return FullError("the records volume is full; nothing was recorded; use a larger claim")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return LedgerBrokenError(f"the records file is damaged ({_code(error)})")
    return StoreFailedError(f"the records file failed ({_code(error)}); only a restart can go on")


def _code(error: Exception) -> str:
    """SQLite's own name for what happened, or the error's; not its words."""
    return str(getattr(error, "sqlite_errorname", None) or type(error).__name__)
