"""[I/O] Bring a base model's files from its source into a folder of the claim, hashing them on the way."""

from __future__ import annotations

import shutil
from pathlib import Path

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import HuggingFaceSource
from oneseek_core.errors import JobError
from oneseek_core.files import copy_hashing, digest_file, fsync_file
from oneseek_core.names import ExitCode
from oneseek_runtime.basemodel.folder import wanted_files
from oneseek_runtime.hub import Hub, HubError
from oneseek_runtime.log import say

__all__ = ["FileTable", "copy_model", "fetch_model", "files_of"]

FileTable = dict[str, tuple[str, int]]
"""Relative path -> (digest, size in bytes): what a manifest is made of."""


def files_of(folder: Path) -> list[str]:
    """The base model's files in a folder. Links are followed only where the source is not the claim (an image's)."""
    return wanted_files(path.name for path in folder.iterdir() if path.is_file())


def copy_model(source: Path, target: Path) -> FileTable:
    """Copy the model's files to the new folder `target`; what is left out is said in the log."""
    wanted = files_of(source)
    for path in sorted(source.iterdir()):
        if path.name not in wanted:
            say("left out", file=path.name)
    return {name: copy_hashing(source / name, target / name) for name in wanted}


def fetch_model(hub: Hub, source: HuggingFaceSource, target: Path) -> FileTable:
    """Download the model's files to the new folder `target`.

    Raises:
        JobError: BaseModelUnavailable, with what is missing or unreachable, where, and what to do.
    """
    try:
        snapshot = hub.resolve("model", source.repo, source.revision)
        say("resolved", repo=source.repo, revision=source.revision, commit=snapshot.commit, endpoint=hub.endpoint)
        table: FileTable = {}
        for name in wanted_files(snapshot.files):
            path = hub.download(snapshot, name, target)
            fsync_file(path)
            table[name] = digest_file(path)
            say("fetched", file=name, bytes=table[name][1])
    except HubError as error:
        code = ExitCode.BAD_INPUT if error.final else ExitCode.UNAVAILABLE
        raise JobError(names.BASE_UNAVAILABLE, f"the base model cannot be fetched: {error}", code) from error
    shutil.rmtree(target / ".cache", ignore_errors=True)  # the library's notes on where the files came from
    return table
