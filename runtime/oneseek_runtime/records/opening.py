"""[I/O] Reading a whole ledger against what its checkpoints saw: before anything may be appended, and when asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from oneseek_core.checkpoint import CheckpointError, VerifierKey, parse_note
from oneseek_core.ledger import Verdict
from oneseek_runtime.log import say
from oneseek_runtime.records import chain, database
from oneseek_runtime.records.errors import LedgerBrokenError
from oneseek_runtime.records.signing import is_signed_by

__all__ = ["read_ledger", "verify_again"]


def read_ledger(connection: sqlite3.Connection, keys: Sequence[VerifierKey]) -> tuple[chain.Chain, str, bool]:
    """(the chain, its newest checkpoint's note, whether that is signed); an empty chain and "" for a new file.

    Raises:
        LedgerBrokenError: a block or a checkpoint does not fit, or the newest checkpoint is signed by a stranger.
    """
    notes = database.checkpoint_notes(connection)
    note = notes[-1] if notes else ""
    try:
        saved = [parse_note(one)[0] for one in notes]
        signed = bool(note and parse_note(note)[2])
        if signed and keys and not is_signed_by(note, keys):
            raise LedgerBrokenError("the last checkpoint is signed by none of the keys that are known here")
    except CheckpointError as error:
        raise LedgerBrokenError(f"a kept checkpoint cannot be read: {error}") from error
    if note and keys and not signed:
        say("unsigned", message="the last checkpoint was written without a key; from now on they are signed")
    found, verdict = chain.load(database.lines(connection), saved)
    if not verdict.ok:
        raise LedgerBrokenError(f"the ledger does not verify: {verdict.defects[0].message}")
    seen = saved[-1].size if saved else 0
    if verdict.height != seen:
        raise LedgerBrokenError(f"there are {verdict.height} blocks, but the last checkpoint saw {seen}")
    return found, note, signed


def verify_again(folder: Path) -> Verdict:
    """Judge what lies on the volume at one moment: every block and every kept checkpoint."""
    with closing(database.open_reader(folder)) as connection:
        connection.execute("BEGIN")  # one snapshot for both
        saved = [parse_note(note)[0] for note in database.checkpoint_notes(connection)]
        return chain.verify(database.lines(connection), saved)
