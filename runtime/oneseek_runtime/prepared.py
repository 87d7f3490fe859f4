"""[I/O] What the prepare Job left for the next ones: the very bytes that were checked, or nothing."""

from __future__ import annotations

from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode

__all__ = ["read_prepared"]


def read_prepared(path: Path, digest: str, *, what: str) -> bytes:
    """A file of prepare's whose digest was reported; `what` names it in a sentence (`the prepared data`).

    Raises:
        JobError: it is missing, or not the bytes that were checked.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        sentence = f"{what} cannot be read: {error.strerror} ({path}); prepare leaves it there"
        raise JobError(names.DATASET_NOT_FOUND, sentence, ExitCode.BAD_INPUT) from error
    if (found := digest_bytes(data)) != digest:
        sentence = f"{what} changed after it was checked: its digest is {found}, expected {digest}"
        raise JobError(names.DATASET_DIGEST_DIFFERS, sentence, ExitCode.DIGEST_DIFFERS)
    return data
