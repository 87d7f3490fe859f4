"""[I/O] Reading a whole ledger against what its checkpoints saw: before anything may be appended, and when asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NoReturn

from oneseek_core.checkpoint import CheckpointError, VerifierKey, parse_note
from oneseek_core.ledger import Block, Verdict, read_chain
from oneseek_runtime.log import say
from oneseek_runtime.records import chain, database
from oneseek_runtime.records.errors import LedgerBrokenError
from oneseek_runtime.records.signing import is_signed_by

__all__ = ["read_ledger", "verify_again"]


def read_ledger(
    notes: Sequence[str], lines: Iterable[bytes], keys: Sequence[VerifierKey]
) -> tuple[chain.Chain, str, bool]:
    """(the chain, its newest checkpoint's note, whether that is signed); an empty chain and "" where nothing is yet.

    `notes` are the kept checkpoints, oldest first.

    Raises:
        LedgerBrokenError: a block or a checkpoint does not fit, or the newest checkpoint is signed by a stranger.
    """
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
    found, verdict = chain.load(lines, saved)
    if not verdict.ok:
        raise LedgerBrokenError(f"the ledger does not verify: {verdict.defects[0].message}")
    seen = saved[-1].size if saved else 0
    if verdict.height != seen:
        raise LedgerBrokenError(f"there are {verdict.height} blocks, but the last checkpoint saw {seen}")
    return found, note, signed


def read_on(known: chain.Chain, lines: Iterable[bytes], note: str, keys: Sequence[VerifierKey]) -> bool:
    """Let a chain grow by what others appended, up to a checkpoint of theirs; whether that is signed.

    Raises:
        LedgerBrokenError: it does not go on from the chain, which then is as it was.
    """
    size, tip = known.tree.size, known.tip
    added: list[Block] = []
    try:
        point, _, signatures = parse_note(note)
        if signatures and keys and not is_signed_by(note, keys):
            _refuse("the last checkpoint is signed by none of the keys that are known here")
        # The first is only what the others follow.
        for block, defect in islice(read_chain([tip.line if tip else b"", *lines]), 1, None):
            if block is None or defect:
                _refuse(f"the ledger does not verify: {defect.message if defect else ''}")
            else:
                known.add(block)
                added.append(block)
        if (known.tree.size, known.tree.root()) != (point.size, point.root):
            _refuse(f"blocks {size} to {point.size - 1} are not those that their checkpoint saw")
    except BaseException as error:
        known.take_back(size, tip, added)
        if isinstance(error, CheckpointError):
            _refuse(f"the last checkpoint cannot be read: {error}")
        raise
    return bool(signatures)


def _refuse(why: str) -> NoReturn:
    raise LedgerBrokenError(why)


def verify_again(folder: Path) -> Verdict:
    """Judge what lies on the volume at one moment: every block and every kept checkpoint."""
    with closing(database.open_reader(folder)) as connection:
        connection.execute("BEGIN")  # one snapshot for both
        saved = [parse_note(note)[0] for note in database.checkpoint_notes(connection)]
        return chain.verify(database.lines(connection), saved)
