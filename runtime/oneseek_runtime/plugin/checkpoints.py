"""[I/O] Checkpoints that an auditor saved, and the keys they must be signed with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oneseek_core.checkpoint import Checkpoint, CheckpointError, VerifierKey, parse_note
from oneseek_core.ledger import Defect
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.reading import read_file
from oneseek_runtime.records.signing import is_signed_by

__all__ = ["Saved", "parse_saved", "read_keys", "read_saved", "unsigned"]

SIGNATURE = "Checkpoint not signed"  # by none of the keys that were given


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint, its note, and where it was found."""

    checkpoint: Checkpoint
    note: str
    source: str


def read_saved(paths: Iterable[str]) -> list[Saved]:
    """The checkpoints in files: a note each, or the JSON of the records service's `/v1/checkpoints`.

    Raises CannotTellError: a file cannot be read or is neither.
    """
    found = []
    for path in paths:
        try:
            text = read_file(path).decode()
            notes = json.loads(text)["checkpoints"] if text.startswith("{") else [text]
            found += [parse_saved(note, path) for note in notes]
        except (ValueError, KeyError, TypeError) as error:
            raise CannotTellError(f"{path} holds no checkpoint: {error}") from error
    return found


def parse_saved(note: str, source: str) -> Saved:
    """One checkpoint. Raises CannotTellError: it is none."""
    try:
        return Saved(parse_note(note)[0], note, source)
    except CheckpointError as error:
        raise CannotTellError(f"{source} holds no checkpoint: {error}") from error


def read_keys(texts: Iterable[str]) -> list[VerifierKey]:
    """Verifier keys (`name+identity+base64`), or files that hold one a line. Raises CannotTellError: one is neither."""
    found = []
    for text in texts:
        lines = read_file(text).decode(errors="replace").split() if Path(text).exists() else [text]
        try:
            found += [VerifierKey.parse(line) for line in lines]
        except CheckpointError as error:
            raise CannotTellError(str(error)) from error
    return found


def unsigned(saved: Sequence[Saved], keys: Sequence[VerifierKey]) -> dict[Saved, Defect]:
    """The checkpoints that none of the keys signed: no witnesses, but defects. Without keys nothing is asked of them."""
    if not keys:
        return {}
    return {
        item: Defect(
            SIGNATURE,
            item.checkpoint.size,
            item.checkpoint.size,
            f"the checkpoint at {item.checkpoint.size} in {item.source} is signed with none of the trusted keys",
        )
        for item in saved
        if not is_signed_by(item.note, keys)
    }
