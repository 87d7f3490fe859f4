"""Which files a folder must have, by its manifest. Pure.

A manifest is accepted only in the very bytes we would write, and only with names that cannot leave the folder.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from oneseek_core import names
from oneseek_core.digest import digest_bytes, manifest_bytes
from oneseek_core.errors import ArtifactError
from oneseek_runtime.artifact.layout import (
    CONFIG,
    METADATA,
    PROOF,
    PROVENANCE,
    SIGNATURE,
    TORCH_WEIGHTS,
    WEIGHTS,
    is_known,
)
from oneseek_runtime.artifact.strict_json import strict_object
from oneseek_runtime.verify.refusal import RefusedError

__all__ = ["check_names", "check_present", "is_pickle", "parse_manifest"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".dill", ".h5")
_NEEDED = {CONFIG, WEIGHTS, METADATA}
_SIGNED = {PROOF, PROVENANCE, SIGNATURE}


def parse_manifest(data: bytes, digest: str | None, what: str = names.MANIFEST) -> dict[str, tuple[str, int]]:
    """Relative path -> (digest, size in bytes), where the manifest itself has the digest that was pinned.

    Raises:
        RefusedError: ArtifactDigestDiffers, ManifestInvalid, FileNameInvalid.
    """
    found = digest_bytes(data)
    if digest is not None and found != digest:
        raise RefusedError(names.ARTIFACT_DIGEST_DIFFERS, f"{what} has the digest {found}, but {digest} was certified")
    try:
        rows = strict_object(data, what)["files"]
        table = {row["path"]: (row["digest"], row["size"]) for row in rows}
        good = all(_is_row(path, *row) for path, row in table.items()) and manifest_bytes(table) == data
    except (ArtifactError, KeyError, TypeError, ValueError) as error:
        why = str(error) if isinstance(error, ArtifactError) else "it does not list files with digest and size"
        raise RefusedError(names.MANIFEST_INVALID, f"{what} is no manifest: {why}") from error
    if not good:
        raise RefusedError(names.MANIFEST_INVALID, f"{what} is not in the form that certification writes")
    for path in table:
        if not _stays_inside(path):
            raise RefusedError(names.FILE_NAME_INVALID, f"{what} names {path!a}, which is no name within the folder")
    return table


def check_names(table: Collection[str]) -> None:
    """Make sure that a certified folder's manifest lists such files as certification writes.

    Raises:
        RefusedError: PickleFound, FileUnknown, FileMissing.
    """
    for path in sorted(table):
        if not is_known(path):
            raise _unknown(path, "no certified version has such a file")
    for path in sorted(_NEEDED - set(table)):
        raise RefusedError(names.FILE_MISSING, f"{path} is not in the manifest; no version can do without it")


def check_present(
    table: Mapping[str, tuple[str, int]], files: Mapping[str, int], folders: Collection[str], *, signed: bool
) -> None:
    """Make sure that the folder holds what the manifest lists and nothing else: no dot files, no empty folders.

    Raises:
        RefusedError: FileUnknown, PickleFound, FileMissing, SignatureMissing, FileChanged (its size).
    """
    allowed = {*table, names.MANIFEST, SIGNATURE}
    for path in sorted(set(files) - allowed):
        raise _unknown(path, "the manifest does not list it")
    parents = {parent.as_posix() for path in table for parent in PurePosixPath(path).parents}
    for path in sorted(set(folders) - parents):
        raise _unknown(path, "no listed file lies in that folder")
    if signed and not files.keys() >= _SIGNED:
        lacking = ", ".join(sorted(_SIGNED - files.keys()))
        raise RefusedError(names.SIGNATURE_MISSING, f"the version is not signed: it has no {lacking}")
    for path, (_, size) in sorted(table.items()):
        if path not in files:
            raise RefusedError(names.FILE_MISSING, f"{path} is missing")
        if files[path] != size:
            raise RefusedError(
                names.FILE_CHANGED, f"{path} has {files[path]} bytes; it does not hold the {size} that were certified"
            )


def is_pickle(path: str) -> bool:
    """Whether the name is one of those under which pickles go about."""
    return path.lower().endswith(_PICKLES) and path != TORCH_WEIGHTS


def _unknown(path: str, why: str) -> RefusedError:
    return RefusedError(
        names.PICKLE_FOUND if is_pickle(path) else names.FILE_UNKNOWN, f"{path} may not be there: {why}"
    )


def _is_row(path: object, digest: object, size: object) -> bool:
    return (
        isinstance(path, str)
        and isinstance(digest, str)
        and _DIGEST.fullmatch(digest) is not None
        and isinstance(size, int)
        and not isinstance(size, bool)
        and size >= 0
    )


def _stays_inside(path: str) -> bool:
    return (
        path.isprintable()
        and "\\" not in path
        and not path.startswith("/")
        and all(part not in ("", ".", "..") for part in path.split("/"))
    )
