"""[I/O] What lies in staging, read once: the small files as bytes. Training's own code wrote some of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import ValidationError

from oneseek_core.digest import digest_bytes
from oneseek_core.errors import ArtifactError, places
from oneseek_core.jobs.evaluate import ScoresFile
from oneseek_runtime.artifact.layout import SCORES
from oneseek_runtime.artifact.strict_json import strict_object

__all__ = ["read_scores", "read_small"]

_LARGEST_TEXT = 16 * 1024 * 1024  # bytes of a JSON file
_LARGEST_SCORES = 16 * 1024 * 1024  # bytes


def read_small(path: Path, largest: int = _LARGEST_TEXT) -> bytes:
    """A small file. Links are refused: training's code could let them point at another mount.

    Raises:
        ArtifactError: there is no such plain file, or it is larger than `largest` bytes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArtifactError(f"there is no file {path.name} in its staging") from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ArtifactError(f"there is no file {path.name} in its staging")
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ArtifactError(f"{path.name} is larger than {largest // 1024**2} MiB")
    return data


def read_scores(staging: Path, digest: str | None) -> tuple[ScoresFile, str] | None:
    """What the evaluation measured, and its file's digest; None where the run was not evaluated.

    Raises:
        ArtifactError: the file is not the one that the evaluate Job reported with `digest`.
    """
    path = staging / SCORES
    if digest is None:
        if os.path.lexists(path):
            raise ArtifactError(f"there is a file {path.name} in its staging, but no evaluate Job reported one")
        return None
    data = read_small(path, _LARGEST_SCORES)
    if (there := digest_bytes(data)) != digest:
        raise ArtifactError(
            f"{path.name} has the digest {there}, but the evaluate Job reported {digest}: it was changed after"
        )
    try:
        found = ScoresFile.model_validate(strict_object(data, path.name), extra="ignore")
    except ValidationError as error:
        raise ArtifactError(f"{path.name} cannot be used: {places(error)}") from error
    return found, digest
