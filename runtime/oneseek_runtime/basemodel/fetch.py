"""[I/O] Bring a base model's files from its source into a folder of the claim, hashing them on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import HuggingFaceSource
from oneseek_core.errors import JobError
from oneseek_core.files import copy_hashing, digest_file, fsync_file
from oneseek_core.names import ExitCode
from oneseek_runtime.basemodel.folder import is_small, wanted_files
from oneseek_runtime.hub import Hub, HubError
from oneseek_runtime.log import say

__all__ = ["FileTable", "copy_model", "fetch_model", "files_of"]

FileTable = dict[str, tuple[str, int]]
"""Relative path -> (digest, size in bytes): what a manifest is made of."""


def files_of(folder: Path) -> list[str]:
    """The base model's files in a folder. Links are followed only where the source is not the claim (an image's)."""
    return wanted_files(path.name for path in folder.iterdir() if path.is_file())


def copy_model(source: Path, target: Path, small_files_there: Callable[[], None]) -> FileTable:
    """Copy the model's files to the new folder `target`; what is left out is said in the log.

    `small_files_there` is called when all but the weights are copied.
    """
    wanted = files_of(source)
    for path in sorted(source.iterdir()):
        if path.name not in wanted:
            say("left out", file=path.name)
    return _each(wanted, lambda name: copy_hashing(source / name, target / name), small_files_there)


def fetch_model(hub: Hub, source: HuggingFaceSource, target: Path, small_files_there: Callable[[], None]) -> FileTable:
    """Download the model's files to the new folder `target`; `small_files_there` as in `copy_model`.

    Raises:
        JobError: BaseModelUnavailable, with what is missing or unreachable, where, and what to do.
    """
    try:
        snapshot = hub.resolve("model", source.repo, source.revision)
        say("resolved", repo=source.repo, revision=source.revision, commit=snapshot.commit, endpoint=hub.endpoint)

        def fetched(name: str) -> tuple[str, int]:
            path = hub.download(snapshot, name, target)
            fsync_file(path)
            found = digest_file(path)
            say("fetched", file=name, bytes=found[1])
            return found

        table = _each(wanted_files(snapshot.files), fetched, small_files_there)
    except HubError as error:
        code = ExitCode.BAD_INPUT if error.final else ExitCode.UNAVAILABLE
        raise JobError(names.BASE_UNAVAILABLE, f"the base model cannot be fetched: {error}", code) from error
    shutil.rmtree(target / ".cache", ignore_errors=True)  # the library's notes on where the files came from
    return table


def _each(
    wanted: Sequence[str], bring: Callable[[str], tuple[str, int]], small_files_there: Callable[[], None]
) -> FileTable:
    """Bring the small files, have them looked at, and bring the weights."""
    table = {name: bring(name) for name in wanted if is_small(name)}
    small_files_there()
    table |= {name: bring(name) for name in wanted if not is_small(name)}
    return dict(sorted(table.items()))
