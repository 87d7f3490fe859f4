"""[I/O] Which folder is to be imported: below what an image left, or at a path on the claim. Nothing is believed yet."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from oneseek_core import names
from oneseek_core.dna import Dna
from oneseek_core.errors import DnaError
from oneseek_core.jobs.imports import ImportRequest
from oneseek_runtime.artifact.layout import METADATA
from oneseek_runtime.artifact.strict_json import strict_object
from oneseek_runtime.certify.staged import read_small
from oneseek_runtime.verify.refusal import RefusedError, refusing

__all__ = ["claimed_dna", "version_folder"]


def version_folder(request: ImportRequest) -> Path:
    """The folder with the version: the one that is named, or the only version within it.

    A path that is gone again, although its version was taken in, leads to what was taken in: the entry may stay in Git.

    Raises:
        RefusedError: ImportInvalid, ArtifactMissing, FileNotPlain; the sentence says what to do.
    """
    if request.source.path is None:
        return _within(Path(request.import_path), "the image holds no certified version below /models")
    root, path = Path(request.models_root), request.source.path
    if PurePosixPath(path).parts[0] == names.CERTIFIED_DIR:
        raise RefusedError(names.IMPORT_INVALID, f"{names.CERTIFIED_DIR} is where versions are taken to, not from")
    folder = root
    for part in PurePosixPath(path).parts:
        folder /= part
        if part in (".", "..") or folder.is_symlink():
            raise RefusedError(names.FILE_NOT_PLAIN, f"{folder.relative_to(root)} on the claim is a link")
    if folder.is_dir():
        return _within(folder, "the folder holds no certified version")
    taken = root / names.CERTIFIED_DIR / folder.name
    if _is_dna(folder.name) and taken.is_dir():
        return taken
    raise RefusedError(names.ARTIFACT_MISSING, "the claim holds no such folder; put the version there first")


def _within(folder: Path, otherwise: str) -> Path:
    if (folder / names.MANIFEST).exists() or (folder / METADATA).exists() or _is_dna(folder.name):
        return folder
    found = sorted(child for child in folder.iterdir() if _is_dna(child.name)) if folder.is_dir() else []
    if not found:
        raise RefusedError(names.IMPORT_INVALID, f"{otherwise} (a folder that is called by its DNA)")
    if len(found) > 1:
        listed = ", ".join(child.name for child in found[:3])
        raise RefusedError(names.IMPORT_INVALID, f"it holds several versions ({listed}); make an entry for each")
    return found[0]


def claimed_dna(folder: Path) -> Dna:
    """The DNA that the folder goes by: its name, or what its metadata says. The verifier proves it.

    Raises:
        RefusedError: MetadataInvalid, DnaDiffers.
    """
    if _is_dna(folder.name):
        return Dna.parse(folder.name)
    with refusing(names.METADATA_INVALID):
        told = strict_object(read_small(folder / METADATA), METADATA).get("dna")
    try:
        return Dna.parse(str(told))
    except DnaError as error:
        raise RefusedError(names.DNA_DIFFERS, str(error)) from error


def _is_dna(name: str) -> bool:
    try:
        Dna.parse(name)
    except DnaError:
        return False
    return True
