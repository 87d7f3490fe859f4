"""[I/O] The tree Job: CURRENT as a link for people and a marker file for old readers. Nothing serves through either."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import canonical_json
from oneseek_core.dna import Dna
from oneseek_core.errors import DnaError, JobError
from oneseek_core.files import fsync_dir, write_atomic
from oneseek_core.jobs.messages import parse_request
from oneseek_core.jobs.tree import TreeReport, TreeRequest
from oneseek_core.names import ExitCode
from oneseek_runtime.artifact.index import write_index
from oneseek_runtime.log import say
from oneseek_runtime.tree.reset import README, wipe

__all__ = ["run"]


def run(environment: Mapping[str, str]) -> TreeReport:
    """Have link and marker name `current`, or be gone where it is None.

    Raises:
        JobError: there is no such certified version, or something else lies where the link belongs.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), TreeRequest)
    certified = Path(request.models_root) / names.CERTIFIED_DIR
    if request.reset is not None:
        return TreeReport(removed=wipe(Path(request.models_root), request.family, request.reset))
    link = certified / f"{request.family}-CURRENT"
    marker = certified / f"{request.family}-CURRENT.txt"
    if link.exists() and not link.is_symlink():
        raise _refused(f"{link.name} in {names.CERTIFIED_DIR} is no link but a file or folder; move it away")
    certified.mkdir(exist_ok=True)
    if not (certified / "README.md").exists():
        write_atomic(certified / "README.md", README.encode())
    _note_quarantine(certified, request)
    if request.current is None:
        link.unlink(missing_ok=True)
        marker.unlink(missing_ok=True)
        fsync_dir(certified)
    else:
        _check_version(certified, request.family, request.current)
        _point(link, request.current)
        # Old readers compare the text with paths they build themselves: the fixed mount, and no line end.
        write_atomic(marker, f"{names.MODELS_ROOT}/{names.CERTIFIED_DIR}/{request.current}".encode())
    say("current", dna=request.current)
    removed = [dna for dna in request.remove if _remove(certified, request, dna)]
    write_index(certified)
    return TreeReport(current=request.current, removed=removed)


def _note_quarantine(certified: Path, request: TreeRequest) -> None:
    """Write down which versions may not answer: the status that says so goes with the OneSeekModel, the versions stay."""
    path = certified / names.QUARANTINE_FILE
    if request.quarantine:
        write_atomic(path, canonical_json([item.to_wire() for item in request.quarantine]) + b"\n")
    elif request.quarantine is not None:
        path.unlink(missing_ok=True)
        fsync_dir(certified)


def _remove(certified: Path, request: TreeRequest, dna: str) -> bool:
    """Delete a version in two steps, so that a crash leaves no half version listed: a dot name first, then the files."""
    if dna == request.current:
        raise _refused(f"{dna} answers and cannot be deleted")
    try:
        Dna.parse(dna)
    except DnaError as error:
        raise _refused(f"nothing of that name can be deleted: {error}") from error
    folder, doomed = certified / dna, certified / f".deleted-{dna}"
    there = folder.is_dir() and not folder.is_symlink()
    if there:
        folder.replace(doomed)
        fsync_dir(certified)
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed)
        fsync_dir(certified)
        say("deleted", dna=dna)
    return there


def _check_version(certified: Path, family: str, text: str) -> None:
    try:
        dna = Dna.parse(text)
    except DnaError as error:
        raise _refused(f"CURRENT cannot be set: {error}") from error
    if dna.family != family:
        raise _refused(f"CURRENT of {family} cannot be set to {text}, a version of {dna.family}")
    folder = certified / text
    if folder.is_symlink() or not (folder / names.MANIFEST).is_file():
        raise _refused(f"CURRENT cannot be set: {names.CERTIFIED_DIR} holds no certified version {text}")


def _point(link: Path, target: str) -> None:
    """Make or move the link in one step: a reader finds the old target or the new one, never none."""
    draft = link.with_name(f".{link.name}.tmp")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)
    fsync_dir(link.parent)


def _refused(sentence: str) -> JobError:
    return JobError(names.ARTIFACT_INVALID, sentence, ExitCode.BAD_ARTIFACT)
